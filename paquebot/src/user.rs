//! `paquebot user`.

use std::io::BufRead as _;

use anyhow::Context as _;
use paquebot_auth::{Credentials, Secret, UserName};

use crate::cli::User;
use crate::config::Config;
use crate::node;

pub async fn run(config: &Config, command: User) -> anyhow::Result<()> {
    match command {
        User::Add { name, password_stdin: _ } => {
            let name = UserName::parse(name.as_bytes())?;
            let mut password = String::new();
            std::io::stdin().lock().read_line(&mut password).context("cannot read the password")?;
            let password = password.trim_end_matches(['\r', '\n']);
            let credentials = Credentials::create(&Secret::new(password))?;
            let service = node::start(config).await?;
            service.add_login(name.as_str(), Some(credentials.encode())).await?;
            node::stop(service).await
        }
    }
}

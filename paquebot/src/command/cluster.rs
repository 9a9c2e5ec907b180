//! `paquebot cluster`.

use anyhow::bail;
use paquebot_admin::{Answer, ClusterRequest, ClusterStatus, Request, control};
use paquebot_config::Config;

use super::{ask, unexpected};
use crate::{cli, cluster, privileges};

pub async fn run(config: &Config, command: cli::Cluster) -> anyhow::Result<()> {
    match command {
        cli::Cluster::Init(cli::Init { from_data }) => {
            refuse_running(config)?;
            privileges::drop_root(config)?;
            cluster::init(config, from_data.as_deref()).await
        }
        cli::Cluster::Join(cli::Join { token, replace }) => {
            refuse_running(config)?;
            privileges::drop_root(config)?;
            cluster::join(config, &token, replace.as_deref()).await
        }
        cli::Cluster::Token { hours } => match send(config, ClusterRequest::Token { seconds: hours * 3600 }).await? {
            Answer::Token { token } => {
                println!("{token}");
                Ok(())
            }
            other => bail!(unexpected(&other)),
        },
        cli::Cluster::Status(output) => match send(config, ClusterRequest::Status).await? {
            Answer::ClusterStatus(status) if output.json => {
                println!("{}", serde_json::to_string(&status)?);
                Ok(())
            }
            Answer::ClusterStatus(status) => {
                print(&status);
                Ok(())
            }
            other => bail!(unexpected(&other)),
        },
        cli::Cluster::Leave => done(config, ClusterRequest::Leave).await,
        cli::Cluster::Remove { node } => done(config, ClusterRequest::Remove { node }).await,
        cli::Cluster::Move(cli::Move::Shard { shard, nodes }) => {
            done(config, ClusterRequest::MoveShard { shard, nodes }).await
        }
        cli::Cluster::Move(cli::Move::Account { user, shard }) => {
            done(config, ClusterRequest::MoveAccount { user, shard }).await
        }
    }
}

fn refuse_running(config: &Config) -> anyhow::Result<()> {
    if control::is_answered(&config.data) {
        bail!("{}: a server has this data directory open: stop it first", config.data.display());
    }
    Ok(())
}

async fn send(config: &Config, request: ClusterRequest) -> anyhow::Result<Answer> {
    if !config.cluster.is_on() {
        bail!("the configuration has no [cluster]: this is one machine");
    }
    ask(config, Request::Cluster(request)).await
}

async fn done(config: &Config, request: ClusterRequest) -> anyhow::Result<()> {
    match send(config, request).await? {
        Answer::Done => Ok(()),
        other => bail!(unexpected(&other)),
    }
}

fn print(status: &ClusterStatus) {
    println!("cluster {}, seen by node {}", status.cluster, status.node);
    println!("nodes:");
    for node in &status.nodes {
        let state = match (node.up, node.leaving) {
            (true, false) => "up",
            (true, true) => "up, leaving",
            (false, _) => "DOWN",
        };
        let joining = if node.joining > 0 { format!(", copying {}", node.joining) } else { String::new() };
        println!(
            "  {} at {}: {state}, {} shards{joining}, Paquebot {}",
            node.name, node.address, node.shards, node.software
        );
    }
    println!("etcd:");
    for member in &status.etcd {
        match &member.failure {
            Some(failure) => println!("  {}: DOWN: {failure}", member.endpoint),
            None => println!(
                "  {}: {}{}, {} of {} bytes, {} in use",
                member.endpoint,
                member.version,
                if member.leads { ", leads" } else { "" },
                member.file_bytes,
                member.quota_bytes,
                member.used_bytes
            ),
        }
    }
    if let Some(why) = &status.refusal {
        println!("changes are refused: {why}");
    }
    let here = status.shards.iter().filter(|shard| shard.applied.is_some());
    let behind: u64 = here.clone().filter_map(|shard| shard.lag).sum();
    let unknown = here.clone().filter(|shard| shard.lag.is_none()).count();
    println!("shards: {}, here {}; this node is {behind} records behind", status.shards.len(), here.count());
    if unknown > 0 {
        println!("  of {unknown} shards etcd does not tell the end now");
    }
    for shard in &status.shards {
        if let Some(why) = &shard.failure {
            println!("  shard {} is not followed here: {why}", shard.shard);
        } else if !shard.joining.is_empty() || shard.hosts.is_empty() {
            println!("  shard {}: on {}; copied by {}", shard.shard, list(&shard.hosts), list(&shard.joining));
        }
    }
    if let Some(s3) = &status.s3 {
        println!(
            "s3: {} packs, {} bytes, {} of them here too; {} are to be sent",
            s3.packs, s3.bytes, s3.cached_bytes, s3.waiting
        );
        if let Some(why) = &s3.failure {
            println!("  none is sent now: {why}");
        }
    }
    println!("store: {} bytes; {} bodies are to be fetched", status.store_bytes, status.bodies_wanted);
}

fn list(names: &[String]) -> String {
    if names.is_empty() { "none".into() } else { names.join(", ") }
}

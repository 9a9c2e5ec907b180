//! A real S3 server, on ports of the loopback interface and in a folder of its own.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use paquebot_s3::{Address, Credentials};

/// How long it may take to start.
const START: Duration = Duration::from_secs(60);

const IDENTITIES: &str = r#"{"identities": [{"name": "tests",
    "credentials": [{"accessKey": "key", "secretKey": "secret"}], "actions": ["Admin", "Read", "Write", "List"]}]}"#;

/// A server with one bucket, `mail`. It ends, and its folder goes, when it is dropped.
pub struct Server {
    dir: tempfile::TempDir,
    ports: Vec<u16>,
    process: Option<Child>,
}

impl Server {
    pub fn start() -> Self {
        // Somebody else may take a port between our giving it back and the server's binding it: then the server ends, and begins anew on others.
        for _ in 0..5 {
            // All at once, so that no port is given out twice.
            let held: Vec<TcpListener> = (0..8).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
            let ports = held.iter().map(|port| port.local_addr().unwrap().port()).collect();
            drop(held);
            let mut server = Self { dir: tempfile::tempdir().unwrap(), ports, process: None };
            std::fs::write(server.dir.path().join("identities.json"), IDENTITIES).unwrap();
            if server.comes_up() {
                server.filer("POST", "/buckets/mail/", b"");
                return server;
            }
            eprintln!("the S3 server has ended: {}", server.log());
        }
        panic!("the S3 server does not start")
    }

    /// Starts it again, with what it had when it ended.
    pub fn up(&mut self) {
        assert!(self.comes_up(), "{}", self.log());
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }

    /// Starts it and waits until it answers; `false` if it ends instead.
    fn comes_up(&mut self) -> bool {
        let [master, master_grpc, volume, volume_grpc, filer, filer_grpc, s3, s3_grpc] = self.ports[..] else {
            unreachable!("eight were taken")
        };
        let dir = self.dir.path();
        std::fs::create_dir_all(dir.join("data")).unwrap();
        let log = std::fs::File::create(dir.join("log")).unwrap();
        let mut command = Command::new(program());
        command
            .current_dir(dir)
            .args(["server", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-filer", "-s3", "-s3.iam=false"])
            .args(["-s3.port.iceberg=0", "-s3.port.lance=0", "-s3.autoCreateBucket=false", "-master.telemetry=false"])
            .args([
                "-master.volumeSizeLimitMB=64",
                "-volume.max=20",
                "-volume.minFreeSpace=1",
                "-master.electionTimeout=1s",
            ])
            .arg(format!("-dir={}", dir.join("data").display()))
            .arg(format!("-s3.config={}", dir.join("identities.json").display()))
            .arg(format!("-master.port={master}"))
            .arg(format!("-master.port.grpc={master_grpc}"))
            .arg(format!("-volume.port={volume}"))
            .arg(format!("-volume.port.grpc={volume_grpc}"))
            .arg(format!("-filer.port={filer}"))
            .arg(format!("-filer.port.grpc={filer_grpc}"))
            .arg(format!("-s3.port={s3}"))
            .arg(format!("-s3.port.grpc={s3_grpc}"))
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log);
        let mut process = command.spawn().unwrap();
        let began = Instant::now();
        let mut has_ended = false;
        while !has_ended && !self.is_up() {
            assert!(began.elapsed() < START, "{}", self.log());
            std::thread::sleep(Duration::from_millis(100));
            has_ended = process.try_wait().unwrap().is_some();
        }
        self.process = Some(process);
        !has_ended
    }

    pub fn down(&mut self) {
        if let Some(mut process) = self.process.take() {
            // It may have ended by itself.
            process.kill().ok();
            process.wait().unwrap();
        }
    }

    pub fn address(&self, bucket: &str) -> Address {
        format!("s3://{bucket}/packs?endpoint=http://127.0.0.1:{}", self.ports[6]).parse().unwrap()
    }

    /// What the server's files are called and hold, past S3: `GET` of a folder lists it.
    pub fn filer(&self, method: &str, path: &str, body: &[u8]) -> (u16, Vec<u8>) {
        request(self.ports[4], method, path, body).unwrap()
    }

    /// The names of the store's objects.
    pub fn objects(&self, store: [u8; 16]) -> Vec<String> {
        let folder = self.folder(store);
        let (status, list) = self.filer("GET", &format!("{folder}/?limit=1000"), b"");
        if status == 404 {
            return Vec::new();
        }
        let list = String::from_utf8(list).unwrap();
        let mut names: Vec<String> = list
            .split("\"FullPath\":")
            .skip(1)
            .filter_map(|entry| Some(entry.split('"').nth(1)?.rsplit('/').next()?.to_owned()))
            .collect();
        names.sort();
        names
    }

    pub fn folder(&self, store: [u8; 16]) -> String {
        format!("/buckets/mail/packs/{}", store.iter().map(|byte| format!("{byte:02x}")).collect::<String>())
    }

    fn is_up(&self) -> bool {
        let answers = |port: u16, path: &str| request(self.ports[usize::from(port)], "GET", path, b"").ok();
        // The gateway says no to who shows no key; the master has a volume server to write to.
        answers(6, "/").is_some_and(|(status, _)| status == 403)
            && answers(0, "/dir/assign").is_some_and(|(status, _)| status == 200)
            && answers(4, "/").is_some_and(|(status, _)| status < 500)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.down();
    }
}

pub fn credentials() -> Credentials {
    Credentials { key_id: "key".into(), secret: "secret".into(), token: None }
}

/// Where `cargo xtask setup` has put it, or on the path.
fn program() -> PathBuf {
    let installed = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.xtask/python/bin/weed");
    if installed.exists() {
        return installed;
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).map(|dir| dir.join("weed")).find(|program| program.exists());
    found.expect("there is no `weed`: `cargo xtask setup` installs it")
}

/// A request over a connection of its own.
fn request(port: u16, method: &str, path: &str, body: &[u8]) -> std::io::Result<(u16, Vec<u8>)> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(Duration::from_secs(20)))?;
    let head = format!(
        "{method} {path} HTTP/1.0\r\nHost: 127.0.0.1\r\nAccept: application/json\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes())?;
    stream.write_all(body)?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n").map_or(answer.len(), |at| at + 4);
    let status = std::str::from_utf8(answer.get(9..12).unwrap_or_default()).ok().and_then(|text| text.parse().ok());
    Ok((status.unwrap_or(0), answer.split_off(end)))
}

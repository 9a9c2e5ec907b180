//! How fast bytes go through a loopback socket: no server here can send faster.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::Instant;

use anyhow::{Result, anyhow};

const BYTES: u64 = 4 << 30;
const BUFFER_BYTES: usize = 256 << 10;

/// One thread writes, one reads and forgets.
pub fn bytes_a_second() -> Result<f64> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let mut writer = TcpStream::connect(listener.local_addr()?)?;
    let (mut reader, _) = listener.accept()?;
    let start = Instant::now();
    let reading = thread::spawn(move || {
        let mut buffer = vec![0; BUFFER_BYTES];
        let mut bytes = 0;
        while let Ok(count @ 1..) = reader.read(&mut buffer) {
            bytes += count as u64;
        }
        bytes
    });
    let buffer = vec![0; BUFFER_BYTES];
    for _ in 0..BYTES / BUFFER_BYTES as u64 {
        writer.write_all(&buffer)?;
    }
    drop(writer);
    let bytes = reading.join().map_err(|_| anyhow!("the reader of a loopback socket failed"))?;
    Ok(bytes as f64 / start.elapsed().as_secs_f64())
}

//! Answers HTTP on the port it is given.
use std::io::{Read, Write};
use std::net::TcpListener;

fn main() {
    let port = std::env::args().nth(1).unwrap_or("0".into());
    for connection in TcpListener::bind(format!("127.0.0.1:{port}")).unwrap().incoming() {
        let mut connection = connection.unwrap();
        let _ = connection.read(&mut [0u8; 1024]);
        let _ = connection.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    }
}

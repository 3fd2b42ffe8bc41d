//! The door for Coordinate's clients, of the real program. What each method answers is tested beside the door; here a few
//! are called as bytes.

mod choosing;
mod events;
mod namespaces;
mod resent;
mod survives;

use std::{
    io::{Read, Write},
    net::TcpStream,
    time::Duration,
};

use minicbor::{Decoder, Encoder, data::Tag};

/// The bytes of values.
fn cbor(write: impl FnOnce(&mut Encoder<&mut Vec<u8>>)) -> Vec<u8> {
    let mut bytes = Vec::new();
    write(&mut Encoder::new(&mut bytes));
    bytes
}

/// Calls a method: the result, as it came.
fn call(address: &str, method: &str, params: &[Vec<u8>]) -> Vec<u8> {
    call_as(address, 1, method, params)
}

/// The same with a number of the call. One that looks the same may be the same.
fn call_as(address: &str, id: u8, method: &str, params: &[Vec<u8>]) -> Vec<u8> {
    let mut stream = connect(address);
    send(&mut stream, id, method, params);
    receive(&mut stream)
}

fn connect(address: &str) -> TcpStream {
    let stream = TcpStream::connect(address).expect("the door is open");
    stream.set_read_timeout(Some(Duration::from_secs(30))).expect("a timeout can be set");
    stream
}

fn send(stream: &mut TcpStream, id: u8, method: &str, params: &[Vec<u8>]) {
    let mut message = cbor(|out| {
        out.map(3).unwrap().str("id").unwrap().u8(id).unwrap().str("method").unwrap().str(method).unwrap();
        out.str("params").unwrap().array(params.len() as u64).unwrap();
    });
    message.extend(params.concat());
    let frame = cbor(|out| _ = out.tag(Tag::new(24)).unwrap().bytes(&message).unwrap());
    stream.write_all(&frame).expect("the server reads");
}

/// The result of the next reply, as it came.
fn receive(stream: &mut TcpStream) -> Vec<u8> {
    let mut reply = Vec::new();
    loop {
        let mut chunk = [0; 4096];
        let read = stream.read(&mut chunk).expect("the server answers");
        assert!(read > 0, "the server closed");
        reply.extend(&chunk[..read]);
        let mut decoder = Decoder::new(&reply);
        if decoder.tag().is_ok()
            && let Ok(content) = decoder.bytes()
        {
            let result = content.windows(7).position(|part| part == b"\x46result");
            return content[result.unwrap_or_else(|| panic!("{}", content.escape_ascii())) + 7..].to_vec();
        }
    }
}

fn name(name: &str) -> Vec<u8> {
    cbor(|out| _ = out.bytes(name.as_bytes()).unwrap())
}

fn map(write: impl FnOnce(&mut Encoder<&mut Vec<u8>>)) -> Vec<u8> {
    cbor(|out| {
        out.begin_map().unwrap();
        write(out);
        out.end().unwrap();
    })
}

const DONE: &[u8] = b"\xd8\x80\x82\xf5\xf6";

/// Makes a spec with this weight, and units `1`, `2` and so on.
fn fill(address: &str, spec: &str, weight: u8, count: usize) {
    let dictionary = map(|out| {
        out.str("name").unwrap().str(spec).unwrap().str("weight").unwrap().u8(weight).unwrap();
    });
    assert_eq!(call(address, "set_work_spec", &[dictionary]), DONE);
    let units = cbor(|out| {
        out.array(count as u64).unwrap();
        for number in 1..=count {
            out.tag(Tag::new(128)).unwrap().array(2).unwrap().str(&number.to_string()).unwrap().map(0).unwrap();
        }
    });
    assert_eq!(call(address, "add_work_units", &[name(spec), units]), DONE);
}

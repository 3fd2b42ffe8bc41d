//! The yardstick of `work`: reads frames, looks who calls what, and answers as much as the real server would, from memory.
//! What a cycle costs here is what the protocol costs.

use std::net::Ipv4Addr;

use minicbor::Decoder;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use super::{
    drive::{KEY_DIGITS, SPEC, data},
    wire::{Input, Item, blob, frame},
};

pub(in crate::bench) fn run() -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        // As `berth serve` says it; nothing else listens here.
        eprintln!("bare: ready on grpc {address}, coordinate {address}");
        loop {
            let (stream, _) = listener.accept().await?;
            tokio::spawn(serve(stream));
        }
    })
}

async fn serve(mut stream: TcpStream) -> anyhow::Result<()> {
    stream.set_nodelay(true)?;
    let (mut input, mut buffer, mut out) = (Input::default(), vec![0; 64 << 10], Vec::new());
    loop {
        let count = stream.read(&mut buffer).await?;
        if count == 0 {
            return Ok(());
        }
        input.push(&buffer[..count]);
        while let Some(message) = input.ready()? {
            answer(&message, &mut out)?;
        }
        stream.write_all(&out).await?;
        out.clear();
    }
}

fn answer(message: &[u8], out: &mut Vec<u8>) -> anyhow::Result<()> {
    let mut decoder = Decoder::new(message);
    let (mut id, mut method) = (0, &b""[..]);
    for _ in 0..decoder.map()?.unwrap_or(0) {
        match blob(&mut decoder)? {
            b"id" => id = decoder.u64()?,
            b"method" => method = blob(&mut decoder)?,
            _ => decoder.skip()?,
        }
    }
    frame(out, |item| {
        item.map(2).bytes(b"id").int(id).bytes(b"result").tuple(2);
        match method {
            b"get_work" => units(item),
            _ => drop(item.truth()),
        }
        item.null();
    });
    Ok(())
}

/// A batch of units, always the same.
fn units(item: &mut Item<'_>) {
    item.array(super::drive::BATCH);
    for number in 0..super::drive::BATCH {
        item.tuple(3).bytes(SPEC).bytes(format!("{number:0KEY_DIGITS$}").as_bytes());
        data(item, number);
    }
}

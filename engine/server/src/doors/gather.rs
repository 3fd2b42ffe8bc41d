//! A TCP stream that lets small messages share a write.
//!
//! HTTP/2 writes a message of 256 bytes or more by itself, without a copy, if the stream can take several pieces in one
//! call; if it cannot, up to four times as much is copied and leaves together with what is ready beside it. Nearly all
//! messages of a scheduler are between the two. So this one says that it cannot. Blobs are larger: their frames come
//! as two writes, head and content, and what is held here puts them together again.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    task::{Context, Poll, ready},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};
use tonic::transport::server::{Connected, TcpConnectInfo};

/// As much as is held until the next write or flush: the head of a frame, a few small frames before it.
const HELD_BYTES_MAX: usize = 512;

/// The stream. What is held leaves with the next write, at a flush, and before the end.
pub(super) struct Gather<S = TcpStream> {
    stream: S,
    held: Vec<u8>,
    _open: Option<Open>,
}

/// Counts a connection as long as it is there.
struct Open(Arc<AtomicU64>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

impl<S> Gather<S> {
    /// The stream of a connection, which counts among those that are open.
    pub(super) fn counted(stream: S, open: Arc<AtomicU64>) -> Self {
        open.fetch_add(1, Relaxed);
        Self { stream, held: Vec::new(), _open: Some(Open(open)) }
    }
}

impl<S: AsyncWrite + Unpin> Gather<S> {
    fn poll_empty(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.held.is_empty() {
            let written = ready!(Pin::new(&mut self.stream).poll_write(context, &self.held))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.held.drain(..written);
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Gather<S> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if this.held.len() + bytes.len() <= HELD_BYTES_MAX {
            this.held.extend_from_slice(bytes);
            return Poll::Ready(Ok(bytes.len()));
        }
        while !this.held.is_empty() {
            let pieces = [IoSlice::new(&this.held), IoSlice::new(bytes)];
            let written = ready!(Pin::new(&mut this.stream).poll_write_vectored(context, &pieces))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            let of_held = written.min(this.held.len());
            this.held.drain(..of_held);
            if written > of_held {
                return Poll::Ready(Ok(written - of_held));
            }
        }
        Pin::new(&mut this.stream).poll_write(context, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        false
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_empty(context))?;
        Pin::new(&mut this.stream).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_empty(context))?;
        Pin::new(&mut this.stream).poll_shutdown(context)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Gather<S> {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_read(context, buffer)
    }
}

impl Connected for Gather {
    type ConnectInfo = TcpConnectInfo;

    fn connect_info(&self) -> TcpConnectInfo {
        self.stream.connect_info()
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt;

    use super::*;

    /// Takes at most `most` bytes a call, and notes how many it was offered.
    struct Narrow {
        most: usize,
        taken: Vec<u8>,
        calls: Vec<usize>,
    }

    impl AsyncWrite for Narrow {
        fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
            self.poll_write_vectored(context, &[IoSlice::new(bytes)])
        }

        fn poll_write_vectored(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            pieces: &[IoSlice<'_>],
        ) -> Poll<io::Result<usize>> {
            let offered = pieces.iter().flat_map(|piece| piece.iter().copied()).collect::<Vec<u8>>();
            let taken = offered.len().min(self.most);
            self.calls.push(offered.len());
            self.taken.extend_from_slice(&offered[..taken]);
            Poll::Ready(Ok(taken))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    fn gather(most: usize) -> Gather<Narrow> {
        let stream = Narrow { most, taken: Vec::new(), calls: Vec::new() };
        Gather { stream, held: Vec::new(), _open: None }
    }

    #[tokio::test]
    async fn a_small_piece_waits_for_the_next_one_or_a_flush() {
        let mut gather = gather(usize::MAX);
        gather.write_all(&[1; 9]).await.unwrap();
        assert!(gather.stream.calls.is_empty());
        gather.write_all(&[2; 16_384]).await.unwrap();
        gather.write_all(&[3; 300]).await.unwrap();
        gather.flush().await.unwrap();
        gather.write_all(&[4; 5]).await.unwrap();
        gather.shutdown().await.unwrap();
        assert_eq!(gather.stream.calls, [16_393, 300, 5]);
    }

    #[tokio::test]
    async fn nothing_is_lost_or_turned_around_on_a_narrow_stream() {
        for most in [1, 3, 8, 9, 10, 600] {
            let mut gather = gather(most);
            let mut expected = Vec::new();
            for (number, length) in [9, 700, 4, 500, 100, 2_000, 0, 512, 513].into_iter().enumerate() {
                let piece: Vec<u8> = (0..length).map(|at| (at + number) as u8).collect();
                gather.write_all(&piece).await.unwrap();
                expected.extend(piece);
            }
            gather.flush().await.unwrap();
            assert!(gather.stream.taken == expected, "{most} bytes a call");
        }
    }
}

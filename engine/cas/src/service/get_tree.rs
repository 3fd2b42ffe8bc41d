//! GetTree: all directories below a root, each once, a page to a message.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;

use berth_core::Digest;
use berth_proto::reapi::{Directory, GetTreeRequest, GetTreeResponse};
use futures::StreamExt;
use futures::stream::{self, BoxStream};
use prost::Message;
use tonic::Status;

use crate::blocking::blocking;
use crate::embedded::EmbeddedCas;
use crate::error::Error;
use crate::limits::DIRECTORY_BYTES_MAX;
use crate::names;
use crate::storage::Storage;

const PAGE_DIRECTORIES_MAX: usize = 1000;
/// A page ends with the directory that passes this.
const PAGE_BYTES: usize = 1024 * 1024;

/// A breadth-first walk in an order that depends on content only: a page token is how many directories came before.
struct Pages {
    storage: Arc<Storage>,
    ahead: VecDeque<Digest>,
    seen: HashSet<Digest>,
    page_directories: usize,
    sent: u64,
    skip: u64,
}

/// The messages that answer a request.
pub(crate) async fn pages(
    cas: &EmbeddedCas,
    request: &GetTreeRequest,
) -> Result<BoxStream<'static, Result<GetTreeResponse, Status>>, Error> {
    cas.check_instance(&request.instance_name)?;
    names::check_function(request.digest_function)?;
    let root = names::digest("root_digest", request.root_digest.as_ref())?;
    let skip = match request.page_token.as_str() {
        "" => 0,
        token => token.parse().map_err(|_| Error::field("page_token", "is none that this server gave"))?,
    };
    let wished = usize::try_from(request.page_size).map_err(|_| Error::field("page_size", "must not be negative"))?;
    if !cas.storage.contains(&root) {
        return Err(Error::Missing(root));
    }
    let pages = Pages {
        storage: cas.storage.clone(),
        ahead: VecDeque::from([root]),
        seen: HashSet::from([root]),
        page_directories: if wished == 0 { PAGE_DIRECTORIES_MAX } else { wished.min(PAGE_DIRECTORIES_MAX) },
        sent: 0,
        skip,
    };
    let messages = stream::try_unfold(pages, |mut pages| async move {
        let (page, pages) = blocking(move || Ok((pages.next()?, pages))).await?;
        Ok::<_, Status>(page.map(|page| (page, pages)))
    });
    Ok(messages.boxed())
}

impl Pages {
    fn next(&mut self) -> Result<Option<GetTreeResponse>, Error> {
        let (mut directories, mut bytes) = (Vec::new(), 0);
        while directories.len() < self.page_directories && bytes < PAGE_BYTES {
            let Some(digest) = self.ahead.pop_front() else { break };
            // What is missing is left out, as the protocol says.
            let Some(content) = self.storage.read(&digest, DIRECTORY_BYTES_MAX)? else { continue };
            let directory = Directory::decode(content.as_ref()).map_err(|error| Error::Malformed {
                digest,
                expected: "Directory",
                detail: error.to_string(),
            })?;
            for child in &directory.directories {
                let child = names::digest("digest", child.digest.as_ref())?;
                if self.seen.insert(child) {
                    self.ahead.push_back(child);
                }
            }
            self.sent += 1;
            if self.sent > self.skip {
                bytes += content.len();
                directories.push(directory);
            }
        }
        if directories.is_empty() {
            return Ok(None);
        }
        let next_page_token = if self.ahead.is_empty() { String::new() } else { self.sent.to_string() };
        Ok(Some(GetTreeResponse { directories, next_page_token }))
    }
}

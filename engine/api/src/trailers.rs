//! Trailers of calls that succeed. What a handler puts into an answer's metadata goes out before the message, as headers;
//! clients of BuildGrid read some of it behind the message.

use std::{
    convert::Infallible,
    task::{Context, Poll},
};

use futures::{TryFutureExt, future::MapOk};
use http_body::Frame;
use http_body_util::BodyExt;
use tonic::{
    Response,
    body::Body,
    codegen::{Service, http},
    metadata::{MetadataMap, MetadataValue},
    server::NamedService,
};

/// Goes with a response as an extension of it.
#[derive(Clone, Debug)]
struct Trailers(http::HeaderMap);

/// A service whose responses may have trailers.
#[derive(Clone, Debug)]
pub(crate) struct WithTrailers<S>(pub(crate) S);

/// Adds trailers to a response, binary ones; empty values are left out.
pub(crate) fn add<T>(response: &mut Response<T>, trailers: impl IntoIterator<Item = (&'static str, Vec<u8>)>) {
    let mut map = MetadataMap::new();
    for (name, value) in trailers.into_iter().filter(|(_, value)| !value.is_empty()) {
        map.insert_bin(name, MetadataValue::from_bytes(&value));
    }
    if !map.is_empty() {
        response.extensions_mut().insert(Trailers(map.into_headers()));
    }
}

impl<S> Service<http::Request<Body>> for WithTrailers<S>
where
    S: Service<http::Request<Body>, Response = http::Response<Body>, Error = Infallible>,
{
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = MapOk<S::Future, fn(http::Response<Body>) -> http::Response<Body>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        self.0.call(request).map_ok(append)
    }
}

impl<S: NamedService> NamedService for WithTrailers<S> {
    const NAME: &'static str = S::NAME;
}

fn append(mut response: http::Response<Body>) -> http::Response<Body> {
    let Some(Trailers(trailers)) = response.extensions_mut().remove() else { return response };
    response.map(|body| {
        let frame = move |frame: Frame<bytes::Bytes>| match frame.into_trailers() {
            Ok(mut status) => {
                status.extend(trailers.clone());
                Frame::trailers(status)
            }
            Err(data) => data,
        };
        Body::new(body.map_frame(frame))
    })
}

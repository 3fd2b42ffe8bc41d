//! The HTTP door: health for load balancers, metrics for Prometheus.

use std::{net::SocketAddr, sync::Arc};

use anyhow::Context;
use axum::{
    Router,
    extract::State,
    http::{StatusCode, header},
    response::IntoResponse,
    routing::get,
};
use tokio::net::TcpListener;

use crate::metrics::Metrics;

pub(crate) async fn bind(address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.with_context(|| format!("cannot listen on {address} (--http ADDR sets another)"))
}

pub(crate) async fn serve(listener: TcpListener, metrics: Arc<Metrics>) -> std::io::Result<()> {
    let router = Router::new()
        .route("/", get(|| async { "Berth. See /metrics and /healthz.\n" }))
        .route("/healthz", get(healthy))
        .route("/metrics", get(scrape))
        .with_state(metrics);
    axum::serve(listener, router).await
}

/// The driver answers: so it is alive, and so is the store behind it.
async fn healthy(State(metrics): State<Arc<Metrics>>) -> impl IntoResponse {
    match metrics.counts().await {
        Some(_) => (StatusCode::OK, "ok\n"),
        None => (StatusCode::SERVICE_UNAVAILABLE, "stopping\n"),
    }
}

async fn scrape(State(metrics): State<Arc<Metrics>>) -> impl IntoResponse {
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(header::CONTENT_TYPE, kind)], metrics.text().await)
}

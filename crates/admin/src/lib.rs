//! HTTP: metrics, health.

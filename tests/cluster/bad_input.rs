//! What cannot work says why and what to do, and writes nothing.

use std::fs;

use anyhow::{Context, Result, ensure};
use paquebot_testkit::cluster::{Cluster, ClusterOptions, Etcd};

/// The command fails, within its limit, and its errors name all of these.
fn refused(cluster: &Cluster, node: usize, arguments: &[&str], named: &[&str]) -> Result<()> {
    let finished = cluster.run(node, arguments)?;
    ensure!(!finished.status.success(), "`{}` was taken", arguments.join(" "));
    for name in named {
        ensure!(finished.stderr.contains(name), "{name:?} is not in what was said: {finished}");
    }
    println!("{}", finished.stderr.trim());
    Ok(())
}

#[test]
fn a_token_is_good_once() -> Result<()> {
    let mut cluster = Cluster::make(ClusterOptions { etcd: Etcd::Existing, ..ClusterOptions::default() })?;
    cluster.run(0, &["cluster", "init"])?.success()?;
    cluster.start_node(0)?;
    let token = cluster.token()?;
    cluster.run(1, &["cluster", "join", &token])?.success()?;
    refused(&cluster, 2, &["cluster", "join", &token], &["token"])?;
    refused(&cluster, 2, &["cluster", "join", "no-token-at-all"], &["token"])?;
    // A cluster is made once.
    refused(&cluster, 2, &["cluster", "init"], &["cluster"])
}

#[test]
fn two_nodes_of_one_name_are_refused() -> Result<()> {
    let mut cluster = Cluster::make(ClusterOptions { etcd: Etcd::Existing, ..ClusterOptions::default() })?;
    cluster.run(0, &["cluster", "init"])?.success()?;
    cluster.start_node(0)?;
    cluster.join(1)?;
    let file = cluster.nodes[2].configuration();
    fs::write(&file, fs::read_to_string(&file)?.replace("node = \"c\"", "node = \"b\""))?;
    let token = cluster.token()?;
    refused(&cluster, 2, &["cluster", "join", &token], &["b", "name"])
}

#[test]
fn keys_that_somebody_else_made_are_left_alone() -> Result<()> {
    let cluster = Cluster::make(ClusterOptions { etcd: Etcd::Existing, ..ClusterOptions::default() })?;
    let etcds = cluster.etcds.as_ref().context("there is an etcd")?;
    etcds.put("paquebot/cluster", "somebody else's")?;
    refused(&cluster, 0, &["cluster", "init"], &["etcd"])?;
    ensure!(etcds.keys()? == 1, "{} keys where one was", etcds.keys()?);
    ensure!(!cluster.nodes[0].data().join("cluster").exists(), "the refused node has an identity");
    Ok(())
}

#[test]
fn an_etcd_that_nobody_reaches_is_named() -> Result<()> {
    let mut cluster = Cluster::make(ClusterOptions { etcd: Etcd::Existing, ..ClusterOptions::default() })?;
    for member in 0..3 {
        cluster.kill_etcd(member)?;
    }
    refused(&cluster, 0, &["cluster", "init"], &["etcd", "http://127."])?;
    // Of a node that was never part of a cluster, too.
    refused(&cluster, 0, &["serve"], &["cluster"])
}

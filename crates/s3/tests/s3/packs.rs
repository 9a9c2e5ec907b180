//! Packs go to the bucket, from the disk and from the bucket; their bodies are read wherever they are.

use paquebot_store::Budget;
use paquebot_types::ShardId;

use crate::mail::{Mail, account, blob, open, options, until};
use crate::server::Server;

const PACK: u64 = 64 << 10;

#[tokio::test(flavor = "multi_thread")]
async fn packs_are_sent_and_evicted_and_their_bodies_are_read_again() {
    let server = Server::start();
    let mut mail = Mail::new(PACK);
    mail.add(60, 6 << 10);
    mail.add(1, (1 << 20) + 5);
    mail.add(4, 6 << 10);
    let s3 = mail.send(&server, options(Some(0)));
    let progress = until(&s3, "sent and evicted", |now| now.evicted_bytes > 0 && now.cached_packs == 0).await;
    assert_eq!(server.objects(mail.store.uuid()).len() as u64, progress.packs);
    let evicted = mail.evicted();
    assert!(evicted.len() > 50 && evicted.contains(&61), "{evicted:?}");

    // What is where is known, and no damage.
    let report = mail.store.check(&mut ()).unwrap();
    assert_eq!((report.problems.len(), report.elsewhere), (0, progress.packs));
    let first = mail.location(1);
    assert!(matches!(mail.store.body_file(first), Err(paquebot_store::ReadError::Elsewhere { .. })));
    mail.read_all(&s3).await;
    let read = s3.progress();
    assert_eq!((read.read_bodies, read.failed_reads), (evicted.len() as u64, 0));
    assert_eq!(read.cached_packs, 0, "reading does not bring packs back");

    // A backup has all of it, and is a store by itself.
    let copy = mail.dir.path().join("copy");
    let (store, to) = (mail.store.clone(), copy.clone());
    tokio::task::spawn_blocking(move || store.backup(&to, &mut |_, _| {})).await.unwrap().unwrap();
    let copied = open(&copy, PACK);
    assert_eq!(copied.sent_total().unwrap(), (0, 0), "what is in the bucket is the original's");
    for number in mail.numbers() {
        assert_eq!(copied.read_body_verified(mail.location(number)).unwrap(), mail.body(number));
    }
    assert_eq!(copied.check(&mut ()).unwrap().problems, []);
    drop((copied, s3));

    // After a restart nothing is sent again.
    let (dir, bodies) = (mail.dir, mail.bodies);
    drop(mail.store);
    let store = reopened(&dir.path().join("store")).await;
    let mail = Mail { store, bodies, dir };
    let s3 = mail.send(&server, options(Some(0)));
    until(&s3, "a look", |now| now.packs == progress.packs).await;
    mail.read_all(&s3).await;
    assert_eq!(s3.progress().sent_bytes, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_cache_keeps_what_was_read_last() {
    let server = Server::start();
    let mut mail = Mail::new(PACK);
    mail.add(60, 6 << 10);
    let s3 = mail.send(&server, options(None));
    let all = until(&s3, "all sent", |now| now.packs > 0 && now.waiting == 0 && now.cached_packs == now.packs).await;
    assert!(mail.evicted().is_empty(), "without a bound all stays");
    drop(s3);
    // The oldest is read; with room for half of them it stays, and others go.
    mail.store.read_body_verified(mail.location(1)).unwrap();
    let s3 = mail.send(&server, options(Some(all.bytes / 2)));
    until(&s3, "half evicted", |now| now.evicted_bytes > 0 && now.cached_bytes <= all.bytes / 2).await;
    let evicted = mail.evicted();
    assert!(!evicted.contains(&1) && evicted.contains(&20), "{evicted:?}");
    assert_eq!(s3.progress().sent_bytes, 0, "it is there already");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_expunged_goes_from_the_bucket_too() {
    let server = Server::start();
    let mut mail = Mail::new(PACK);
    mail.add(60, 6 << 10);
    let s3 = mail.send(&server, options(Some(0)));
    let before = until(&s3, "evicted", |now| now.evicted_bytes > 0 && now.cached_packs == 0).await;
    // All but one body in ten; what is left of packs that are mostly dead is fetched and kept elsewhere.
    let gone: Vec<u64> = mail.numbers().filter(|number| number % 10 != 0).collect();
    mail.change(|txn| gone.iter().try_for_each(|number| txn.remove_location(ShardId::FIRST, account(), blob(*number))));
    let store = mail.store.clone();
    let reclaim = move || store.reclaim(&Budget { dead_percent: 50, ..Budget::default() });
    let reclaimed = tokio::task::spawn_blocking(reclaim).await.unwrap().unwrap();
    assert!(reclaimed.copied_bytes > 0 && reclaimed.damaged.is_empty(), "{reclaimed:?}");
    until(&s3, "deleted", |now| now.packs <= before.packs / 2).await;
    assert!(server.objects(mail.store.uuid()).len() as u64 <= before.packs / 2);
    for number in mail.numbers().filter(|number| number % 10 == 0) {
        s3.bring(mail.location(number)).await.unwrap();
        assert_eq!(mail.store.read_body_verified(mail.location(number)).unwrap(), mail.body(number));
    }
    assert_eq!(mail.store.check(&mut ()).unwrap().problems, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn large_packs_go_in_parts() {
    let server = Server::start();
    let mut mail = Mail::new(20 << 20);
    mail.add(50, 1 << 19);
    mail.add(1, 19 << 20);
    let s3 = mail.send(&server, options(Some(0)));
    let progress = until(&s3, "evicted", |now| now.evicted_bytes > 0 && now.cached_packs == 0 && now.packs == 2).await;
    assert!(progress.bytes > 38 << 20, "{progress:?}");
    mail.read_all(&s3).await;
}

/// Once whatever the service began has let go of the store.
pub async fn reopened(dir: &std::path::Path) -> std::sync::Arc<paquebot_store::Store> {
    let lock = dir.join("lock");
    assert!(lock.exists());
    for _ in 0..500 {
        let options = paquebot_store::Options { pack_bytes: PACK, ballast_bytes: 0, ..Default::default() };
        match paquebot_store::Store::open(std::sync::Arc::new(paquebot_store::fs::RealFs), dir, options) {
            Ok((store, _)) => return std::sync::Arc::new(store),
            Err(paquebot_store::OpenError::Locked { .. }) => {
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            }
            Err(error) => panic!("{error}"),
        }
    }
    panic!("the store stays open")
}

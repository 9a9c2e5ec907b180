//! A bucket that is away, wrong, closed or damaged.

use paquebot_s3::{Credentials, S3, S3Error};
use paquebot_store::{Fetched, ReadError};

use crate::mail::{Mail, options, until};
use crate::packs::reopened;
use crate::server::{Server, credentials};

#[tokio::test(flavor = "multi_thread")]
async fn while_the_server_is_away_packs_wait_and_mail_goes_on() {
    let mut server = Server::start();
    let mut mail = Mail::new(64 << 10);
    mail.add(30, 6 << 10);
    server.down();
    let s3 = mail.send(&server, options(Some(0)));
    let away = until(&s3, "failure", |now| now.failure.is_some()).await;
    assert!(away.failure.unwrap().contains("cluster.s3: http://127.0.0.1"));
    mail.add(30, 6 << 10);
    mail.read_all(&s3).await;
    assert_eq!((s3.progress().packs, s3.progress().evicted_bytes), (0, 0));
    // A restart meanwhile: what was not sent is sent by the next process.
    drop(s3);
    let (dir, bodies) = (mail.dir, mail.bodies);
    drop(mail.store);
    let store = reopened(&dir.path().join("store")).await;
    let mail = Mail { store, bodies, dir };
    let s3 = mail.send(&server, options(Some(0)));
    until(&s3, "failure again", |now| now.failure.is_some()).await;
    server.up();
    let back = until(&s3, "sent", |now| now.failure.is_none() && now.evicted_bytes > 0 && now.cached_packs == 0).await;
    assert!(back.packs > 4, "{back:?}");
    // Away again: what is only there cannot be read now, what is here can.
    let evicted = mail.evicted()[0];
    server.down();
    let error = s3.bring(mail.location(evicted)).await.unwrap_err();
    assert!(matches!(error, S3Error::Unreachable { .. }), "{error}");
    let location = mail.location(evicted);
    assert!(matches!(mail.store.body_file(location), Err(ReadError::Elsewhere { .. })), "it is not given up");
    mail.store.read_body_verified(mail.location(60)).unwrap();
    server.up();
    mail.read_all(&s3).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_bucket_and_wrong_keys_are_named() {
    let server = Server::start();
    S3::probe(&server.address("mail"), &credentials()).await.unwrap();
    let error = S3::probe(&server.address("nobodys"), &credentials()).await.unwrap_err();
    assert!(matches!(error, S3Error::NoBucket { .. }), "{error:?}");
    assert!(error.to_string().contains("cluster.s3") && error.to_string().contains("nobodys"), "{error}");
    for wrong in [("key", "wrong"), ("nobody", "secret")] {
        let wrong = Credentials { key_id: wrong.0.into(), secret: wrong.1.into(), token: None };
        let error = S3::probe(&server.address("mail"), &wrong).await.unwrap_err();
        assert!(matches!(error, S3Error::Refused { .. }), "{error:?}");
        assert!(error.to_string().contains("AWS_ACCESS_KEY_ID"), "{error}");
    }
    // A node starts all the same, and says what is wrong.
    let mut mail = Mail::new(64 << 10);
    mail.add(30, 6 << 10);
    let s3 = S3::start(mail.store.clone(), &server.address("nobodys"), credentials(), options(Some(0))).unwrap();
    let progress = until(&s3, "failure", |now| now.failure.is_some()).await;
    assert!(progress.failure.unwrap().contains("nobodys"));
    assert!(mail.evicted().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn other_bytes_are_never_given_and_a_peer_s_copy_takes_their_place() {
    let server = Server::start();
    let mut mail = Mail::new(64 << 10);
    mail.add(40, 6 << 10);
    let s3 = mail.send(&server, options(Some(0)));
    until(&s3, "evicted", |now| now.evicted_bytes > 0 && now.cached_packs == 0).await;
    drop(s3);
    // Every octet of the first pack's object is another.
    let name = server.objects(mail.store.uuid()).into_iter().find(|name| name.starts_with("00000001.pack")).unwrap();
    let path = format!("{}/{name}", server.folder(mail.store.uuid()));
    let (_, object) = server.filer("GET", &path, b"");
    let other: Vec<u8> = object.iter().map(|octet| !octet).collect();
    let (status, _) = server.filer("PUT", &path, &other);
    assert!((200..300).contains(&status), "{status}");
    let s3 = mail.send(&server, options(Some(0)));
    let location = mail.location(1);
    let error = s3.bring(location).await.unwrap_err();
    assert!(matches!(error, S3Error::Read(ReadError::Corrupt { .. })), "{error}");
    assert!(matches!(mail.store.body_file(location), Err(ReadError::Elsewhere { .. })));
    // What a peer gives is placed, though nobody had said that it is wanted.
    let wanted = mail.wanted(1);
    assert_eq!(mail.store.place(&[(wanted, Fetched::Bytes(mail.body(1)))]).unwrap(), [true]);
    assert_ne!(mail.location(1), location);
    assert_eq!(mail.store.read_body_verified(mail.location(1)).unwrap(), mail.body(1));
    // A body that is here is not moved by one that comes unasked.
    assert_eq!(mail.store.place(&[(wanted, Fetched::Bytes(mail.body(1)))]).unwrap(), [false]);
    // A pack that is gone from the bucket altogether.
    server.filer("DELETE", &path, b"");
    let error = s3.bring(mail.location(2)).await.unwrap_err();
    assert!(matches!(error, S3Error::Absent { .. }), "{error}");
}

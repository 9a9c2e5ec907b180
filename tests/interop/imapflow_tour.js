// imapflow: list, fetch, search, append, move, flags, IDLE, download; every message by its hash.
'use strict';

const assert = require('node:assert/strict');
const { createHash } = require('node:crypto');
const { readFileSync } = require('node:fs');
const path = require('node:path');
const { ImapFlow } = require('imapflow');

const { SAMPLES, SECURITY, PORT, ACCOUNT, PASSWORD, AUTHORITY } = process.env;
const manifest = JSON.parse(readFileSync(path.join(SAMPLES, 'manifest.json'), 'utf8'));
const of = mailbox => manifest.messages.filter(message => message.mailbox === mailbox);
const data = file => readFileSync(path.join(SAMPLES, 'mail', file));
const sha256 = octets => createHash('sha256').update(octets).digest('hex');

async function connect() {
    const client = new ImapFlow({
        host: 'localhost',
        port: Number(PORT),
        secure: SECURITY === 'tls',
        doSTARTTLS: SECURITY === 'tls' ? undefined : SECURITY === 'starttls',
        auth: { user: ACCOUNT, pass: PASSWORD },
        tls: { ca: readFileSync(AUTHORITY) },
        logger: false,
    });
    await client.connect();
    return client;
}

// The next event of this name that `wanted` accepts.
function next(client, name, wanted) {
    return new Promise((resolve, reject) => {
        const limit = setTimeout(() => reject(new Error(`no event ${name}`)), 60000);
        client.on(name, function hear(event) {
            if (wanted(event)) {
                clearTimeout(limit);
                client.off(name, hear);
                resolve(event);
            }
        });
    });
}

async function readEverything(client) {
    const listed = await client.list({ statusQuery: { messages: true, unseen: true } });
    for (const mailbox of manifest.mailboxes) {
        const found = listed.find(entry => entry.path === mailbox.name);
        assert.ok(found, `${mailbox.name} is not in ${listed.map(entry => entry.path)}`);
        assert.equal(found.status.messages, of(mailbox.name).length, mailbox.name);
        assert.ok(found.subscribed, `${mailbox.name} is not subscribed`);
    }
    assert.equal(listed.find(entry => entry.path === 'Sent').specialUse, '\\Sent');

    for (const mailbox of manifest.mailboxes) {
        const expected = of(mailbox.name);
        const lock = await client.getMailboxLock(mailbox.name, { readOnly: true });
        try {
            assert.equal(client.mailbox.exists, expected.length, mailbox.name);
            let place = 0;
            const query = { uid: true, flags: true, envelope: true, bodyStructure: true, internalDate: true, size: true, source: true };
            for await (const message of expected.length ? client.fetch('1:*', query) : []) {
                const sample = expected[place++];
                assert.equal(sha256(message.source), sample.sha256, sample.file);
                assert.equal(message.size, sample.size, sample.file);
                assert.deepEqual([...message.flags].filter(flag => flag !== '\\Recent').sort(), [...sample.flags].sort(), sample.file);
                assert.equal(new Date(message.internalDate).getTime(), Date.parse(sample.internal_date.replaceAll(/(\d)-(\w+)-(\d)/g, '$1 $2 $3')), sample.file);
                assert.ok(message.bodyStructure.type, sample.file);
            }
            assert.equal(place, expected.length, mailbox.name);
        } finally {
            lock.release();
        }
    }
}

async function readParts(client) {
    const lock = await client.getMailboxLock('Reisen & Fotos', { readOnly: true });
    try {
        // The picture of the largest sample, decoded by the client, is the PNG that was attached.
        const [uid] = await client.search({ header: { subject: 'båden' } }, { uid: true });
        const { bodyStructure } = await client.fetchOne(uid, { bodyStructure: true }, { uid: true });
        const picture = bodyStructure.childNodes.find(node => node.type === 'image/png');
        const { content, meta } = await client.download(uid, picture.part, { uid: true });
        assert.equal(meta.filename, 'båden.png');
        const chunks = [];
        for await (const chunk of content) chunks.push(chunk);
        const sample = of('Reisen & Fotos').find(message => message.size > 200000);
        const [, base64] = /b%C3%A5den\.png\r\n\r\n([A-Za-z0-9+/=\r\n]+)/.exec(readFileSync(path.join(SAMPLES, sample.file), 'latin1'));
        assert.equal(sha256(Buffer.concat(chunks)), sha256(Buffer.from(base64, 'base64')));
    } finally {
        lock.release();
    }
}

async function search(client) {
    const lock = await client.getMailboxLock('INBOX', { readOnly: true });
    try {
        const unseen = await client.search({ seen: false });
        assert.equal(unseen.length, of('INBOX').filter(message => !message.flags.includes('\\Seen')).length);
        assert.equal((await client.search({ body: 'кириллицу' })).length, 1);
        assert.equal((await client.search({ subject: 'no such subject' })).length, 0);
        assert.equal((await client.search({ or: [{ from: 'ruth' }, { from: 'zoe.mueller' }] })).length, 3);
    } finally {
        lock.release();
    }
}

async function change(client) {
    const created = await client.mailboxCreate(['Tour', 'Überfahrt & mehr']);
    assert.equal(created.path, 'Tour/Überfahrt & mehr');
    assert.equal(created.created, true);
    const appended = await client.append(created.path, data('nihongo/006.eml'), ['\\Seen', '$Tour'], new Date('2026-07-01T10:00:00Z'));
    assert.ok(appended.uid > 0 && appended.uidValidity > 0n, JSON.stringify(appended, (_, value) => String(value)));
    await client.append(created.path, data('nihongo/007.eml'));

    let lock = await client.getMailboxLock(created.path);
    try {
        assert.equal(await client.messageFlagsAdd('1', ['\\Flagged']), true);
        assert.equal(await client.messageFlagsRemove('1', ['\\Seen']), true);
        const { flags } = await client.fetchOne('1', { flags: true });
        assert.ok(flags.has('\\Flagged') && flags.has('$Tour') && !flags.has('\\Seen'), [...flags].join(' '));
        const copied = await client.messageCopy('1:*', 'Trash');
        assert.equal(copied.uidMap.size, 2);
        const moved = await client.messageMove('1', 'Archive');
        assert.equal(moved.uidMap.size, 1);
        assert.equal(client.mailbox.exists, 1);
        assert.equal(await client.messageDelete('1'), true);
        assert.equal(client.mailbox.exists, 0);
    } finally {
        lock.release();
    }
    lock = await client.getMailboxLock('Archive');
    try {
        const message = await client.fetchOne('*', { source: true, flags: true });
        assert.equal(sha256(message.source), sha256(data('nihongo/006.eml')));
        assert.ok(message.flags.has('$Tour'));
    } finally {
        lock.release();
    }
    await client.mailboxRename(created.path, 'Tour/Später');
    assert.equal((await client.status('Tour/Später', { messages: true })).messages, 0);
    await client.mailboxDelete('Tour/Später');
    await assert.rejects(client.mailboxOpen('Tour/Später'));
}

async function idle(client) {
    const other = await connect();
    await client.mailboxOpen('Drafts');
    const before = client.mailbox.exists;
    const idling = client.idle();
    const told = next(client, 'exists', event => event.count === before + 1);
    await other.append('Drafts', data('inbox/010.eml'), ['\\Draft']);
    await told;
    await other.mailboxOpen('Drafts');
    const flagged = next(client, 'flags', event => event.seq === before + 1 && event.flags.has('\\Flagged'));
    await other.messageFlagsAdd(String(before + 1), ['\\Flagged']);
    await flagged;
    // With QRESYNC the removal is told by UID, without by its number.
    const gone = next(client, 'expunge', event => event.vanished || event.seq === before + 1);
    await other.messageDelete(String(before + 1));
    await gone;
    await client.noop();
    await idling;
    await other.logout();
}

async function main() {
    const client = await connect();
    assert.equal(client.secureConnection, SECURITY !== 'plain');
    await readEverything(client);
    await readParts(client);
    await search(client);
    await change(client);
    await idle(client);
    await client.logout();
}

main().catch(error => {
    console.error(error);
    process.exit(1);
});

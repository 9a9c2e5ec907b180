#!/usr/bin/env perl
# Mail::IMAPClient: every message by its hash, then folders, flags, copies, searches, structure, IDLE.
use strict;
use warnings;
use utf8;

use Digest::SHA qw(sha256_hex);
use Encode qw(encode);
use JSON::PP qw(decode_json);
use MIME::Base64 ();
use Mail::IMAPClient;
use Mail::IMAPClient::BodyStructure;

my ($security, $port) = @ENV{qw(SECURITY PORT)};
my $manifest = decode_json(slurp("$ENV{SAMPLES}/manifest.json"));

sub slurp {
    my ($path) = @_;
    open my $file, '<:raw', $path or die "$path: $!";
    local $/;
    return scalar <$file>;
}

sub same {
    my ($got, $expected, $what) = @_;
    ($got, $expected) = map { defined $_ ? $_ : '(undefined)' } $got, $expected;
    die "$what: got $got, expected $expected\n" unless $got eq $expected;
}

sub in_inbox {
    my ($message) = @_;
    return $message->{mailbox} eq 'INBOX';
}

# Modified UTF-7: the module takes names as they are sent.
sub mailbox_name {
    my ($name) = @_;
    $name =~ s/&/&-/g;
    $name =~ s{([^ -~]+)}{ my $b = MIME::Base64::encode_base64(encode('UTF-16BE', $1), ''); $b =~ s/=+$//; $b =~ tr{/}{,}; "&$b-" }ge;
    return $name;
}

sub connect_to_server {
    my %tls = $security eq 'tls' ? (Ssl => [ SSL_ca_file => $ENV{AUTHORITY}, SSL_verifycn_name => 'localhost', SSL_verifycn_scheme => 'imap', SSL_verify_mode => 1 ]) : ();
    my $imap = Mail::IMAPClient->new(Server => 'localhost', Port => $port, User => $ENV{ACCOUNT}, Password => $ENV{PASSWORD}, Uid => 1, Peek => 1, Timeout => 60, %tls)
        or die "cannot connect: $@";
    return $imap;
}

my $imap = connect_to_server();
same($imap->IsAuthenticated ? 1 : 0, 1, 'logged in');
same($imap->has_capability('IMAP4REV1') ? 1 : 0, 1, 'IMAP4rev1');

my %folders = map { $_ => 1 } $imap->folders;
for my $mailbox (@{ $manifest->{mailboxes} }) {
    my $name = mailbox_name($mailbox->{name});
    die "$name is not listed\n" unless $folders{$name};
    my @expected = grep { $_->{mailbox} eq $mailbox->{name} } @{ $manifest->{messages} };
    same($imap->message_count($name), scalar @expected, "messages in $name");
    $imap->examine($name) or die $imap->LastError;
    my @uids = @expected ? $imap->messages : ();
    for my $place (0 .. $#expected) {
        my $sample = $expected[$place];
        my $text = $imap->message_string($uids[$place]) or die $imap->LastError;
        same(sha256_hex($text), $sample->{sha256}, $sample->{file});
        same(join(' ', sort grep { $_ ne '\Recent' } $imap->flags($uids[$place])), join(' ', sort @{ $sample->{flags} }), "flags of $sample->{file}");
        same($imap->size($uids[$place]), $sample->{size}, "size of $sample->{file}");
        my $structure = $imap->get_bodystructure($uids[$place]) or die "no structure of $sample->{file}: " . $imap->LastError;
        die "an empty structure of $sample->{file}\n" unless $structure->bodytype;
        my $envelope = $imap->get_envelope($uids[$place]) or die "no envelope of $sample->{file}: " . $imap->LastError;
    }
}

# Search: by a flag, a header, a date.
$imap->examine('INBOX') or die $imap->LastError;
my @unseen = $imap->unseen;
same(scalar @unseen, scalar(grep { in_inbox($_) && !grep { $_ eq '\Seen' } @{ $_->{flags} } } @{ $manifest->{messages} }), 'unseen');
my @found = $imap->search('SUBJECT', $imap->Quote('queue'), 'FROM', 'root');
same(scalar @found, 2, 'found by subject');
my @since = $imap->since('01-Jul-2026');
same(scalar @since, scalar(grep { in_inbox($_) && $_->{internal_date} =~ /-Jul-2026/ } @{ $manifest->{messages} }), 'since July');

# A folder of our own.
$imap->create('Perl/Tour') or die $imap->LastError;
$imap->subscribe('Perl/Tour') or die $imap->LastError;
my $message = slurp("$ENV{SAMPLES}/mail/nihongo/005.eml");
my $uid = $imap->append_string('Perl/Tour', $message, '\Seen $Tour', '03-Jun-2026 10:00:00 +0000') or die $imap->LastError;
$imap->append_file('Perl/Tour', "$ENV{SAMPLES}/mail/inbox/009.eml", undef, '', 1) or die $imap->LastError;
$imap->select('Perl/Tour') or die $imap->LastError;
same($imap->message_string($uid), $message, 'what was appended');
same($imap->parse_headers($uid, 'Message-ID')->{'Message-ID'}[0] =~ /\@example\.com>$/ ? 1 : 0, 1, 'a header field');
$imap->set_flag('Flagged', $uid) or die $imap->LastError;
same(join(' ', sort grep { $_ ne '\Recent' } $imap->flags($uid)), '$Tour \Flagged \Seen', 'flags');
$imap->unset_flag('Seen', $uid) or die $imap->LastError;
$imap->copy('Trash', $uid) or die $imap->LastError;
my @all = $imap->messages;
$imap->move('Archive', $all[1]) or die $imap->LastError;
$imap->expunge or die $imap->LastError;
same($imap->message_count('Perl/Tour'), 1, 'left');

# IDLE hears another session.
my $other = connect_to_server();
my $idle = $imap->idle or die $imap->LastError;
$other->append_string('Perl/Tour', $message) or die $other->LastError;
my $told = '';
for (1 .. 20) {
    my $lines = $imap->idle_data(10) or die $imap->LastError;
    $told .= join '', @$lines;
    last if $told =~ /\* 2 EXISTS/;
}
die "IDLE told only $told\n" unless $told =~ /\* 2 EXISTS/;
$imap->done($idle) or die $imap->LastError;
$other->logout;

$imap->delete_message(scalar $imap->messages) or die $imap->LastError;
$imap->close or die $imap->LastError;
$imap->rename('Perl/Tour', 'Perl/Gone') or die $imap->LastError;
$imap->delete('Perl/Gone') or die $imap->LastError;
die "SELECT of what is deleted\n" if $imap->select('Perl/Gone');
$imap->logout or die $imap->LastError;

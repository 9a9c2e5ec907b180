//! COMPRESS DEFLATE (RFC 4978).

use paquebot_protocol::Tag;
use paquebot_protocol::response::Code;

use crate::session::Session;
use crate::state::Flow;
use crate::view::Expunges;

/// Answers COMPRESS; what follows the answer is compressed, in both directions.
pub(crate) async fn compress(session: &mut Session, tag: &Tag) -> Flow {
    if !session.shared.config.compress {
        return session.refuse(tag, Expunges::Tell, Some(Code::Cannot), "Compression is turned off here");
    }
    if session.conn.stream.is_compressed() {
        return session.refuse(tag, Expunges::Tell, Some(Code::CompressionActive), "DEFLATE is active already");
    }
    session.complete(tag, Expunges::Tell, None, "DEFLATE active")?;
    session.conn.flush().await?;
    session.conn.compress();
    Ok(())
}

//! Checks passwords against the sources: bounded in CPU, with the same work for a wrong user as for a wrong password.

mod cache;
mod dummy;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::Semaphore;

use crate::password::{Cost, StoredPassword};
use crate::sasl::candidates;
use crate::scram_keys::{SCRAM_ITERATIONS, ScramKeys};
use crate::secret::Secret;
use crate::source::{CredentialSource, Found, Refusal, SourceError};
use crate::user_name::UserName;
use cache::{Fingerprint, SuccessCache};
pub use dummy::ServerSecret;

/// How an [`Authenticator`] behaves.
#[derive(Debug, Clone)]
pub struct AuthenticatorSettings {
    /// How many passwords are hashed at once, which also bounds the memory: 19 MiB each for the hashes that are made here.
    pub parallel_hashes: usize,
    /// How long a successful verification is remembered; zero turns that off.
    pub cache_for: Duration,
    /// How many are remembered.
    pub cache_entries: usize,
    /// The iterations that users see who do not exist or whose password is stored in plain text. To be the number that most accounts
    /// have, since SCRAM tells it to whoever asks; Dovecot's is 4096.
    pub scram_iterations: u32,
}

impl Default for AuthenticatorSettings {
    /// Half of the machine's cores for hashes, 1,024 successes kept for two minutes.
    fn default() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, |cores| cores.get());
        Self {
            parallel_hashes: (cores / 2).max(1),
            cache_for: Duration::from_secs(120),
            cache_entries: 1024,
            scram_iterations: SCRAM_ITERATIONS,
        }
    }
}

/// The answer to a user name and a password.
#[derive(Debug)]
pub enum AuthResult {
    Success {
        user: UserName,
    },
    /// The client gets the same answer whatever the reason.
    Refused(Refusal),
    /// Nobody can say now. Not the client's failure, so it counts for no delay.
    Unavailable(SourceError),
}

/// The answer to a user name for SCRAM.
#[derive(Debug, Clone)]
pub struct ScramAnswer {
    /// The account's keys, or invented ones that nobody can tell from them without the password.
    pub keys: ScramKeys,
    /// Whether a right proof lets the user in.
    pub genuine: bool,
    /// Why not, if so. For the log.
    pub refusal: Option<Refusal>,
}

/// Looks users up in an ordered list of sources and checks what they send.
///
/// # Successes are remembered
/// Mail clients open many connections, and a strong hash is slow on purpose. So a success is kept for a short time, under a keyed hash
/// (HMAC-SHA-256, key random at each start) of user, password and stored hash; neither password nor hash is kept. A changed password
/// is a changed stored hash and so finds nothing. Sources and access rules are asked at each login all the same. Whoever reads the
/// process's memory could guess at the kept passwords with quick hashes; `cache_for` zero rules that out.
///
/// # Work
/// Look-ups run on blocking threads, 16 at most at a time, hashes `parallel_hashes` at a time, first come first served.
/// A login that is dropped while it waits costs nothing more.
pub struct Authenticator {
    core: Arc<Core>,
    lookups: Arc<Semaphore>,
    hashes: Arc<Semaphore>,
}

/// What the blocking threads share.
struct Core {
    sources: Vec<Arc<dyn CredentialSource>>,
    secret: ServerSecret,
    scram_iterations: u32,
    cache: Mutex<SuccessCache>,
    #[cfg(test)]
    paid: Mutex<Vec<Cost>>,
}

const PARALLEL_LOOKUPS: usize = 16;

impl Authenticator {
    /// The first source that knows a user decides; `secret` is what invented SCRAM salts come from.
    pub fn new(
        sources: Vec<Arc<dyn CredentialSource>>,
        secret: ServerSecret,
        settings: &AuthenticatorSettings,
    ) -> Result<Self, getrandom::Error> {
        let cache = SuccessCache::new(settings.cache_entries, settings.cache_for)?;
        Ok(Self {
            core: Arc::new(Core {
                sources,
                secret,
                scram_iterations: settings.scram_iterations.clamp(1, crate::SCRAM_ITERATIONS_MAX),
                cache: Mutex::new(cache),
                #[cfg(test)]
                paid: Mutex::default(),
            }),
            lookups: Arc::new(Semaphore::new(PARALLEL_LOOKUPS)),
            hashes: Arc::new(Semaphore::new(settings.parallel_hashes.max(1))),
        })
    }

    /// Checks a password. `peer` is the client's address, nothing for a local socket.
    pub async fn verify(&self, user: UserName, password: Secret, peer: Option<IpAddr>) -> AuthResult {
        let core = self.core.clone();
        let prepared = run(&self.lookups, move || core.prepare(user, password, peer, Instant::now())).await;
        match prepared {
            None => stopped(),
            Some(Prepared::Answered(result)) => result,
            Some(Prepared::ToHash(check)) => {
                let core = self.core.clone();
                run(&self.hashes, move || core.finish(*check, Instant::now())).await.unwrap_or_else(stopped)
            }
        }
    }

    /// The keys for SCRAM of a user, or invented ones: same form, same work.
    pub async fn scram_keys(&self, user: UserName, peer: Option<IpAddr>) -> Result<ScramAnswer, SourceError> {
        let core = self.core.clone();
        let lookup = user.clone();
        let found = run(&self.lookups, move || core.find(&lookup)).await.unwrap_or_else(|| Err(stop_error()))?;
        let core = self.core.clone();
        run(&self.hashes, move || core.scram_answer(&user, found.as_ref(), peer)).await.ok_or_else(stop_error)
    }
}

/// Runs `work` on a blocking thread while holding one of `permits`, to the end of the work even if the caller goes away.
///
/// Nothing if the runtime is shutting down.
async fn run<T: Send + 'static>(permits: &Arc<Semaphore>, work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    let permit = permits.clone().acquire_owned().await.ok()?;
    tokio::task::spawn_blocking(move || {
        let result = work();
        drop(permit);
        result
    })
    .await
    .ok()
}

fn stop_error() -> SourceError {
    SourceError { what: "the server is stopping".into(), source: None }
}

fn stopped() -> AuthResult {
    AuthResult::Unavailable(stop_error())
}

/// How far a look-up alone gets.
enum Prepared {
    Answered(AuthResult),
    ToHash(Box<Check>),
}

/// A password that is yet to be hashed.
struct Check {
    user: UserName,
    password: Secret,
    against: Against,
}

enum Against {
    Stored { hash: StoredPassword, fingerprint: Fingerprint, admitted: Result<(), Refusal> },
    Nothing(Refusal),
}

impl Core {
    /// The first source in order that knows the user, or cannot say, decides.
    fn find(&self, user: &UserName) -> Result<Option<Found>, SourceError> {
        // Every source is asked, so that the time does not tell which one knows the user.
        let answers: Vec<_> = self.sources.iter().map(|source| source.find(user)).collect();
        answers.into_iter().find_map(Result::transpose).transpose()
    }

    fn prepare(&self, user: UserName, password: Secret, peer: Option<IpAddr>, now: Instant) -> Prepared {
        let found = match self.find(&user) {
            Ok(found) => found,
            Err(error) => return Prepared::Answered(AuthResult::Unavailable(error)),
        };
        let against = match found {
            None => Against::Nothing(Refusal::UnknownUser),
            Some(found) => match found.credentials.stored_password() {
                Err(error) => Against::Nothing(Refusal::UnusableHash(error)),
                Ok(hash) => {
                    let mut cache = self.cache.lock();
                    let fingerprint = cache.fingerprint(&user, &password, &found.credentials.password_hash);
                    let admitted = found.access.admits(peer);
                    // A refusal must not come quicker than that of a wrong password.
                    if admitted.is_ok() && cache.contains(&fingerprint, now) {
                        return Prepared::Answered(AuthResult::Success { user });
                    }
                    Against::Stored { hash, fingerprint, admitted }
                }
            },
        };
        Prepared::ToHash(Box::new(Check { user, password, against }))
    }

    /// Every failure takes the work of each distinct cost among the sources' hashes once: a known user's own, then the others; an
    /// unknown user's all of them.
    fn finish(&self, check: Check, now: Instant) -> AuthResult {
        let Check { user, password, against } = check;
        let tried: Vec<Secret> = if password.is_password() { candidates(&password).collect() } else { Vec::new() };
        let (refusal, own_cost) = match against {
            Against::Nothing(refusal) => (refusal, None),
            Against::Stored { hash, fingerprint, admitted } => {
                let cost = hash.cost();
                let matches = tried.iter().any(|candidate| {
                    self.note(cost);
                    hash.matches(candidate.expose())
                });
                match (matches, admitted) {
                    (true, Ok(())) => {
                        self.cache.lock().insert(fingerprint, now);
                        return AuthResult::Success { user };
                    }
                    (true, Err(refusal)) => (refusal, Some(cost)),
                    (false, _) => (Refusal::WrongPassword, Some(cost)),
                }
            }
        };
        for cost in self.costs().into_iter().filter(|cost| Some(*cost) != own_cost) {
            for candidate in &tried {
                self.note(cost);
                cost.spend(candidate.expose());
            }
        }
        AuthResult::Refused(refusal)
    }

    /// The distinct costs of the sources' hashes.
    fn costs(&self) -> Vec<Cost> {
        let mut costs: Vec<Cost> = Vec::new();
        for cost in self.sources.iter().flat_map(|source| source.costs()) {
            if !costs.contains(&cost) {
                costs.push(cost);
            }
        }
        costs
    }

    /// Writes down, for tests, that `cost` is paid.
    fn note(&self, cost: Cost) {
        #[cfg(test)]
        self.paid.lock().push(cost);
        #[cfg(not(test))]
        let _ = cost;
    }

    /// Derives keys once whatever is found, since a plain-text password needs it: a look-up without would be told by its time.
    fn scram_answer(&self, user: &UserName, found: Option<&Found>, peer: Option<IpAddr>) -> ScramAnswer {
        let stored = found.map(|found| (found, found.credentials.stored_password()));
        let plain_text = match &stored {
            Some((_, Ok(hash))) => hash.plain_text().filter(|password| password.is_password()),
            _ => None,
        };
        let salt = self.secret.scram_salt(user);
        let nobody = self.secret.nobodys_password(user);
        self.note(Cost::Pbkdf2 { iterations: self.scram_iterations });
        let derived = ScramKeys::derive(plain_text.unwrap_or(&nobody), salt, self.scram_iterations);
        let own_keys = found.and_then(|found| found.credentials.scram_sha_256.clone());
        let refusal = match (&stored, &own_keys, plain_text) {
            (None, ..) => Some(Refusal::UnknownUser),
            (Some((_, Err(error))), None, _) => Some(Refusal::UnusableHash(*error)),
            // A user without keys for SCRAM, for whom no proof is right.
            (Some(_), None, None) => Some(Refusal::WrongPassword),
            (Some((found, _)), ..) => found.access.admits(peer).err(),
        };
        ScramAnswer { keys: own_keys.unwrap_or(derived), genuine: refusal.is_none(), refusal }
    }
}

#[cfg(test)]
mod tests;

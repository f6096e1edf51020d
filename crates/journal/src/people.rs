//! People who sign in, their second factors, and their sessions. What proves somebody is kept as a hash or sealed; none of it stands in a
//! `Debug` or in the chain of records.

use std::fmt;

use ivrpay_payment::{OperatorId, PersonId, TenantId};
use uuid::Uuid;

use crate::Error;
use crate::chain;
use crate::inquiries::RECOVERY;
use crate::journal::Journal;
use crate::store::{Durability, Tx};

/// What a person may do, roughly; what each may exactly is said where it is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Leads payments.
    Operator,
    /// Watches over those who do, and decides with them.
    Supervisor,
    /// Keeps people and keys.
    Admin,
}

impl Role {
    /// All of them, the least first.
    pub const ALL: [Self; 3] = [Self::Operator, Self::Supervisor, Self::Admin];

    /// As it is written.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Operator => "operator",
            Self::Supervisor => "supervisor",
            Self::Admin => "admin",
        }
    }

    /// By its name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.name() == name)
    }
}

/// Somebody who may sign in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Person {
    /// His id.
    pub id: PersonId,
    /// The name that he signs in with, and that stands where he did something.
    pub name: OperatorId,
    /// How he is called on a screen.
    pub shown: String,
    /// The only merchant whose things he sees; `None`: all.
    pub tenant: Option<TenantId>,
    /// What he may do.
    pub role: Role,
    /// The extension of his telephone.
    pub extension: Option<String>,
    /// The language that he reads.
    pub language: Option<String>,
    /// His address, by which single sign-on may know him.
    pub email: Option<String>,
    /// How the issuer of single sign-on names him.
    pub subject: Option<String>,
    /// Whether he has a password.
    pub has_password: bool,
    /// Whether his second factor is confirmed.
    pub has_factor: bool,
    /// Since when, UTC milliseconds.
    pub created_ms: i64,
    /// Who made him.
    pub created_by: String,
    /// He may not sign in any more.
    pub disabled_ms: Option<i64>,
}

/// What a person is told by, as it is kept.
#[derive(Clone)]
pub struct Proofs {
    /// Whose.
    pub person: Person,
    /// Hash of his password, as argon2 writes it.
    pub password: Option<String>,
    /// His second factor, sealed.
    pub factor: Option<Vec<u8>>,
    /// The step of the last code of it that was good.
    pub step: i64,
    /// Who else has given him one of these, or has seen it: the password, the factor, the codes for the day that it is lost.
    pub given_by: Vec<String>,
}

impl Proofs {
    /// Whether this one has made him, or knows something that he signs in with.
    #[must_use]
    pub fn is_in_the_hands_of(&self, name: &OperatorId) -> bool {
        let mut all = self.given_by.iter().chain([&self.person.created_by]);
        all.any(|by| by.eq_ignore_ascii_case(name.as_str()))
    }
}

/// A person who is to be made.
#[derive(Debug, Clone)]
pub struct NewPerson {
    /// The name to sign in with.
    pub name: OperatorId,
    /// How he is called on a screen.
    pub shown: String,
    /// `None`: all merchants.
    pub tenant: Option<TenantId>,
    /// What he may do.
    pub role: Role,
    /// Extension.
    pub extension: Option<String>,
    /// Language.
    pub language: Option<String>,
    /// Address.
    pub email: Option<String>,
    /// Subject of single sign-on.
    pub subject: Option<String>,
}

/// Why a person is not made or changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PersonError {
    /// Another one has this name.
    #[error("there is a person of this name already; a name is never given twice")]
    NameTaken,
    /// Another one has this address or subject.
    #[error("another person has this email or subject")]
    SubjectTaken,
    /// No such person.
    #[error("there is no such person")]
    NotFound,
    /// What he signs in with is not what it was when it was looked at.
    #[error("the password or the second factor was changed meanwhile: begin anew")]
    Changed,
    /// A field can't be kept.
    #[error("{field}: {wants}")]
    Field {
        /// Which.
        field: &'static str,
        /// What it must be.
        wants: &'static str,
    },
    /// The journal's own.
    #[error(transparent)]
    Journal(#[from] Error),
}

/// What is changed of a person. All but the last two end his sessions.
#[derive(Clone)]
pub enum PersonChange {
    /// He may not sign in any more.
    Disabled,
    /// Another password, by its hash.
    Password(String),
    /// The same by himself: who knows the one before.
    OwnPassword {
        /// The hash of the new one.
        new: String,
        /// That by which the old one was looked at.
        old: String,
    },
    /// A new second factor, sealed; it is none until it is confirmed, and the codes before it are gone.
    Factor(Vec<u8>),
    /// He may sign in again.
    Enabled,
    /// The second factor was shown to work: the step of its code, and the hashes of the codes for the day that it is lost.
    Confirmed {
        /// The factor that it was shown of, sealed.
        factor: Vec<u8>,
        /// The step of the code that was shown.
        step: i64,
        /// SHA-256 of each.
        recovery: Vec<[u8; 32]>,
    },
}

/// How a person who signs in has shown that it is he, beside his password.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SecondProof {
    /// By a code of this step.
    Step(i64),
    /// By a code for the day that the factor is lost; its SHA-256.
    Recovery([u8; 32]),
    /// By his issuer, who has looked at both.
    SingleSignOn,
}

/// A session that is to be.
#[derive(Debug, Clone)]
pub struct NewSession {
    /// SHA-256 of its token.
    pub hash: [u8; 32],
    /// Whose.
    pub person: PersonId,
    /// Where he is.
    pub address: String,
    /// When it ends, whatever happens.
    pub expires_ms: i64,
    /// How he has shown that it is he.
    pub proof: SecondProof,
    /// By what that was looked at: no session opens by what is no more. `None`: his issuer has looked.
    pub known: Option<Known>,
}

/// What a password and a code were looked at by.
#[derive(Clone, PartialEq, Eq)]
pub struct Known {
    /// [`Proofs::password`].
    pub password: Option<String>,
    /// [`Proofs::factor`].
    pub factor: Option<Vec<u8>>,
}

impl fmt::Debug for Known {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Known")
    }
}

/// Somebody who has signed in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// SHA-256 of its token.
    pub hash: [u8; 32],
    /// Who.
    pub person: Person,
    /// When he was last seen.
    pub seen_ms: i64,
    /// When it ends.
    pub expires_ms: i64,
}

/// Whether somebody may try to sign in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MayTry {
    /// He may, and has used one of his tries.
    Yes,
    /// He may, and this is the last of them: where it is not good, nobody of that name may any more.
    Last,
    /// Not until then: too many were not good.
    Locked {
        /// UTC milliseconds.
        until_ms: i64,
    },
}

/// What single sign-on was begun with.
#[derive(Clone)]
pub struct BegunSignIn {
    /// What the issuer has to say again in what it signs.
    pub nonce: String,
    /// The secret by which we say that it was we who began (PKCE).
    pub verifier: String,
}

/// Tries that are not good, until nobody of that name may (PCI DSS v4.0.1, 8.3.4).
const TRIES_MAX: i64 = 10;
/// For how long, milliseconds.
const LOCKED_MS: i64 = 30 * 60_000;
/// Tries older than that do not count any more.
const TRIES_KEPT_MS: i64 = 24 * 3_600_000;
/// Names that tries are kept of. Anybody may try with any name.
const NAMES_MAX: i64 = 20_000;
/// How long single sign-on may take, milliseconds.
const SIGN_IN_MS: i64 = 600_000;
/// Begun ones at once.
const SIGN_INS_MAX: i64 = 10_000;

/// By what tries are kept: of a name that is nobody's nothing can be read.
fn tried(name: &str) -> [u8; 32] {
    chain::digest(name.to_lowercase().as_bytes())
}

impl Journal {
    /// Makes a person, who can't sign in before he has a password and a second factor.
    ///
    /// # Errors
    /// [`PersonError`].
    pub async fn create_person(&self, new: NewPerson, by: &str) -> Result<Person, PersonError> {
        let mut tx = self.begin(Durability::Synced).await?;
        let created = create(&mut tx, new, by).await;
        tx.end(created).await
    }

    /// People of a merchant, or all, by their names.
    ///
    /// # Errors
    /// The journal's own.
    pub async fn people(&self, tenant: Option<&TenantId>) -> Result<Vec<Person>, Error> {
        self.store().people(tenant).await
    }

    /// One person.
    ///
    /// # Errors
    /// The journal's own.
    pub async fn person(&self, id: PersonId) -> Result<Option<Proofs>, Error> {
        self.store().person(id).await
    }

    /// The person of this name.
    ///
    /// # Errors
    /// The journal's own.
    pub async fn person_named(&self, name: &str) -> Result<Option<Proofs>, Error> {
        self.store().person_named(&name.to_lowercase()).await
    }

    /// The person whom an issuer names so; by his address only where it names nobody so and the issuer has looked at the address.
    ///
    /// # Errors
    /// The journal's own.
    pub async fn person_of(
        &self,
        subject: &str,
        email: Option<&str>,
    ) -> Result<Option<Person>, Error> {
        let found = self.store().person_of_subject(subject).await?;
        match (found, email) {
            (None, Some(email)) => {
                let found = self.store().person_of_email(&email.to_lowercase()).await?;
                // Whoever is known by a subject is known by that alone.
                Ok(found.filter(|person| person.subject.is_none()))
            }
            (found, _) => Ok(found),
        }
    }

    /// Changes a person.
    ///
    /// # Errors
    /// [`PersonError::NotFound`], [`PersonError::Changed`], or the journal's own.
    pub async fn change_person(
        &self,
        id: PersonId,
        change: PersonChange,
        by: &str,
    ) -> Result<Person, PersonError> {
        let mut tx = self.begin(Durability::Synced).await?;
        let changed = changed(&mut tx, id, change, by).await;
        tx.end(changed).await
    }

    /// A person may try again at once.
    ///
    /// # Errors
    /// The journal's own.
    pub async fn unlock(&self, name: &OperatorId) -> Result<(), Error> {
        let mut tx = self.begin(Durability::Synced).await?;
        let done = tx.delete_tries(&tried(name.as_str())).await;
        tx.end(done).await
    }

    /// Until when nobody of this name may sign in, where that is so.
    ///
    /// # Errors
    /// The journal's own.
    pub async fn locked_until(&self, name: &OperatorId) -> Result<Option<i64>, Error> {
        let until_ms = self.store().locked_until(&tried(name.as_str())).await?;
        Ok(until_ms.filter(|until_ms| *until_ms > self.now_ms()))
    }

    /// Somebody of that name, whoever he is, tries to sign in. A try counts as one that is not good until [`Self::open_session`] says
    /// otherwise: as many at once as one likes are not more than one after the other.
    ///
    /// # Errors
    /// The journal's own.
    pub async fn try_sign_in(&self, name: &str) -> Result<MayTry, Error> {
        let mut tx = self.begin(Durability::Rides).await?;
        let may = may_try(&mut tx, &tried(name)).await;
        tx.end(may).await
    }

    /// Opens a session, unless the person may not any more, or the code by which he shows that it is he was used before. His tries are
    /// forgotten.
    ///
    /// # Errors
    /// The journal's own.
    pub async fn open_session(&self, new: NewSession) -> Result<Option<Session>, Error> {
        // A code that is used stays used.
        let mut tx = self.begin(Durability::Synced).await?;
        let opened = open_session(&mut tx, new).await;
        tx.end(opened).await
    }

    /// The session of a token, by its SHA-256; those that are over, and those of people who may not sign in, are none.
    ///
    /// # Errors
    /// The journal's own.
    pub async fn session(&self, hash: &[u8; 32]) -> Result<Option<Session>, Error> {
        let found = self.store().session(hash).await?;
        let now_ms = self.now_ms();
        Ok(found.filter(|s| s.expires_ms > now_ms && s.person.disabled_ms.is_none()))
    }

    /// Somebody was seen.
    ///
    /// # Errors
    /// The journal's own.
    pub async fn seen(&self, hash: &[u8; 32], at_ms: i64) -> Result<(), Error> {
        let mut tx = self.begin(Durability::Rides).await?;
        let seen = tx.session_seen(hash, at_ms).await;
        tx.end(seen).await
    }

    /// Ends a session.
    ///
    /// # Errors
    /// The journal's own.
    pub async fn end_session(&self, hash: &[u8; 32]) -> Result<(), Error> {
        let mut tx = self.begin(Durability::Synced).await?;
        let ended = tx.delete_session(hash).await;
        tx.end(ended).await
    }

    /// Takes out sessions that are over and tries that are old.
    ///
    /// # Errors
    /// The journal's own.
    pub async fn tidy_people(&self) -> Result<(), Error> {
        let mut tx = self.begin(Durability::Rides).await?;
        let done = tidy(&mut tx).await;
        tx.end(done).await
    }

    /// Single sign-on begins. Anybody may begin it: where too many have, the oldest makes room.
    ///
    /// # Errors
    /// The journal's own.
    pub async fn begin_sign_in(&self, state: &str, begun: &BegunSignIn) -> Result<(), Error> {
        let state = chain::digest(state.as_bytes());
        let mut tx = self.begin(Durability::Rides).await?;
        let done = async {
            tx.delete_sign_ins(tx.now_ms.saturating_sub(SIGN_IN_MS))
                .await?;
            tx.trim_sign_ins(SIGN_INS_MAX - 1).await?;
            tx.insert_sign_in(&state, begun).await
        }
        .await;
        tx.end(done).await
    }

    /// What it was begun with, once, and not after ten minutes.
    ///
    /// # Errors
    /// The journal's own.
    pub async fn take_sign_in(&self, state: &str) -> Result<Option<BegunSignIn>, Error> {
        let state = chain::digest(state.as_bytes());
        let mut tx = self.begin(Durability::Synced).await?;
        let done = async {
            tx.delete_sign_ins(tx.now_ms.saturating_sub(SIGN_IN_MS))
                .await?;
            tx.take_sign_in(&state).await
        }
        .await;
        tx.end(done).await
    }
}

async fn create(tx: &mut Tx<'_>, new: NewPerson, by: &str) -> Result<Person, PersonError> {
    let name = new.name.as_str().to_lowercase();
    let name = OperatorId::new(name).map_err(|_| PersonError::Field {
        field: "name",
        wants: "letters, digits and - _ . @ : /, at most 64",
    })?;
    // Under that name the service does what nobody has asked for.
    if name.as_str() == RECOVERY {
        return Err(PersonError::Field {
            field: "name",
            wants: "another one: that is the service's own",
        });
    }
    let email = new.email.map(|email| email.to_lowercase());
    if tx.has_person(name.as_str()).await? {
        return Err(PersonError::NameTaken);
    }
    if tx
        .is_known(new.subject.as_deref(), email.as_deref())
        .await?
    {
        return Err(PersonError::SubjectTaken);
    }
    let person = Person {
        id: PersonId::new(Uuid::now_v7()),
        name,
        shown: new.shown,
        tenant: new.tenant,
        role: new.role,
        extension: new.extension,
        language: new.language,
        email,
        subject: new.subject,
        has_password: false,
        has_factor: false,
        created_ms: tx.now_ms,
        created_by: by.to_owned(),
        disabled_ms: None,
    };
    tx.insert_person(&person).await?;
    Ok(person)
}

async fn changed(
    tx: &mut Tx<'_>,
    id: PersonId,
    change: PersonChange,
    by: &str,
) -> Result<Person, PersonError> {
    let ends = !matches!(
        change,
        PersonChange::Enabled | PersonChange::Confirmed { .. }
    );
    let now_ms = tx.now_ms;
    match change {
        PersonChange::Disabled => tx.put_disabled(id, Some(now_ms)).await?,
        PersonChange::Enabled => tx.put_disabled(id, None).await?,
        PersonChange::Password(hash) => tx.put_password(id, &hash, Some(by)).await?,
        PersonChange::OwnPassword { new, old } => {
            let known = tx.proofs(id).await?.ok_or(PersonError::NotFound)?;
            if known.password != Some(old) {
                return Err(PersonError::Changed);
            }
            tx.put_password(id, &new, None).await?;
        }
        PersonChange::Factor(sealed) => {
            tx.put_factor(id, &sealed, by).await?;
            tx.delete_recovery(id).await?;
        }
        PersonChange::Confirmed {
            factor,
            step,
            recovery,
        } => {
            if !tx.put_confirmed(id, &factor, step, by).await? {
                return Err(PersonError::Changed);
            }
            tx.delete_recovery(id).await?;
            for hash in &recovery {
                tx.insert_recovery(id, hash).await?;
            }
        }
    }
    if ends {
        tx.delete_sessions_of(id).await?;
    }
    tx.person(id).await?.ok_or(PersonError::NotFound)
}

async fn may_try(tx: &mut Tx<'_>, name: &[u8; 32]) -> Result<MayTry, Error> {
    let now_ms = tx.now_ms;
    let (mut failed, at_ms, until_ms) = tx.tries(name).await?.unwrap_or_default();
    if until_ms > now_ms {
        return Ok(MayTry::Locked { until_ms });
    }
    if until_ms > 0 || at_ms < now_ms.saturating_sub(TRIES_KEPT_MS) {
        failed = 0;
    }
    failed += 1;
    let until_ms = if failed >= TRIES_MAX {
        now_ms.saturating_add(LOCKED_MS)
    } else {
        0
    };
    tx.put_tries(name, failed, until_ms).await?;
    if failed == 1 {
        // A name that was not there: those that have been there for longest make room.
        tx.trim_tries(NAMES_MAX).await?;
    }
    Ok(if until_ms > 0 {
        MayTry::Last
    } else {
        MayTry::Yes
    })
}

async fn open_session(tx: &mut Tx<'_>, new: NewSession) -> Result<Option<Session>, Error> {
    let Some(proofs) = tx.proofs(new.person).await? else {
        return Ok(None);
    };
    let now = Known {
        password: proofs.password,
        factor: proofs.factor,
    };
    let person = proofs.person;
    let is_good = person.disabled_ms.is_none()
        && new.known.as_ref().is_none_or(|known| *known == now)
        && match new.proof {
            SecondProof::Step(step) => tx.take_step(new.person, step).await?,
            SecondProof::Recovery(hash) => tx.take_recovery(new.person, &hash).await?,
            SecondProof::SingleSignOn => true,
        };
    if !is_good {
        return Ok(None);
    }
    tx.delete_tries(&tried(person.name.as_str())).await?;
    tx.insert_session(&new).await?;
    Ok(Some(Session {
        hash: new.hash,
        seen_ms: tx.now_ms,
        expires_ms: new.expires_ms,
        person,
    }))
}

async fn tidy(tx: &mut Tx<'_>) -> Result<(), Error> {
    tx.delete_sessions(tx.now_ms).await?;
    let before_ms = tx.now_ms.saturating_sub(TRIES_KEPT_MS);
    tx.delete_old_tries(before_ms).await?;
    tx.delete_sign_ins(tx.now_ms.saturating_sub(SIGN_IN_MS))
        .await
}

//! SQL of people, their sessions and their tries.

use ivrpay_payment::{OperatorId, PersonId, TenantId};

use super::{DAMAGED, Store, Tx, bytes32, named, parsed};
use crate::Error;
use crate::db::{On, Row, query};
use crate::people::{BegunSignIn, NewSession, Person, Proofs, Role, Session};

async fn one<'a>(
    on: impl Into<On<'a>>,
    sql: &'static str,
    by: &str,
) -> Result<Option<Proofs>, Error> {
    let row = query(sql).bind(by).fetch_optional(on).await?;
    row.as_ref().map(proofs).transpose()
}

impl Store {
    pub(crate) async fn people(&self, tenant: Option<&TenantId>) -> Result<Vec<Person>, Error> {
        let rows = query("SELECT * FROM people WHERE ?1 IS NULL OR tenant = ?1 ORDER BY name")
            .bind(tenant.map(TenantId::as_str))
            .fetch_all(&self.reads)
            .await?;
        rows.iter().map(person).collect()
    }

    pub(crate) async fn person(&self, id: PersonId) -> Result<Option<Proofs>, Error> {
        one(
            &self.reads,
            "SELECT * FROM people WHERE id = ?1",
            &id.to_string(),
        )
        .await
    }

    pub(crate) async fn person_named(&self, name: &str) -> Result<Option<Proofs>, Error> {
        one(&self.reads, "SELECT * FROM people WHERE name = ?1", name).await
    }

    pub(crate) async fn person_of_subject(&self, subject: &str) -> Result<Option<Person>, Error> {
        let sql = "SELECT * FROM people WHERE subject = ?1";
        let found = one(&self.reads, sql, subject).await?;
        Ok(found.map(|proofs| proofs.person))
    }

    pub(crate) async fn person_of_email(&self, email: &str) -> Result<Option<Person>, Error> {
        let sql = "SELECT * FROM people WHERE email = ?1";
        let found = one(&self.reads, sql, email).await?;
        Ok(found.map(|proofs| proofs.person))
    }

    pub(crate) async fn locked_until(&self, name: &[u8; 32]) -> Result<Option<i64>, Error> {
        let row = query("SELECT until_ms FROM tries WHERE name = ?1")
            .bind(name.as_slice())
            .fetch_optional(&self.reads)
            .await?;
        Ok(row.map(|row| row.try_get("until_ms")).transpose()?)
    }

    pub(crate) async fn session(&self, hash: &[u8; 32]) -> Result<Option<Session>, Error> {
        let row = query(
            "SELECT p.*, s.hash, s.seen_ms, s.expires_ms FROM sessions s JOIN people p ON p.id = s.person WHERE s.hash = ?1",
        )
        .bind(hash.as_slice())
        .fetch_optional(&self.reads)
        .await?;
        row.map(|row| {
            Ok(Session {
                hash: bytes32(&row, "hash")?,
                person: person(&row)?,
                seen_ms: row.try_get("seen_ms")?,
                expires_ms: row.try_get("expires_ms")?,
            })
        })
        .transpose()
    }
}

impl Tx<'_> {
    pub(crate) async fn has_person(&mut self, name: &str) -> Result<bool, Error> {
        let found: i64 = query("SELECT count(*) FROM people WHERE name = ?1")
            .bind(name)
            .scalar(self.on())
            .await?;
        Ok(found > 0)
    }

    /// Whether single sign-on would find somebody else by one of these.
    pub(crate) async fn is_known(
        &mut self,
        subject: Option<&str>,
        email: Option<&str>,
    ) -> Result<bool, Error> {
        let found: i64 = query("SELECT count(*) FROM people WHERE subject = ?1 OR email = ?2")
            .bind(subject)
            .bind(email)
            .scalar(self.on())
            .await?;
        Ok(found > 0)
    }

    pub(crate) async fn person(&mut self, id: PersonId) -> Result<Option<Person>, Error> {
        let found = self.proofs(id).await?;
        Ok(found.map(|proofs| proofs.person))
    }

    pub(crate) async fn proofs(&mut self, id: PersonId) -> Result<Option<Proofs>, Error> {
        let sql = "SELECT * FROM people WHERE id = ?1";
        one(self.on(), sql, &id.to_string()).await
    }

    pub(crate) async fn insert_person(&mut self, person: &Person) -> Result<(), Error> {
        query(
            "INSERT INTO people (id, name, shown, tenant, role, extension, language, email, subject, created_ms, created_by)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
        )
        .bind(person.id.to_string())
        .bind(person.name.as_str())
        .bind(&person.shown)
        .bind(person.tenant.as_ref().map(TenantId::as_str))
        .bind(person.role.name())
        .bind(&person.extension)
        .bind(&person.language)
        .bind(&person.email)
        .bind(&person.subject)
        .bind(person.created_ms)
        .bind(&person.created_by)
        .execute(self.on())
        .await?;
        Ok(())
    }

    pub(crate) async fn put_disabled(
        &mut self,
        id: PersonId,
        at_ms: Option<i64>,
    ) -> Result<(), Error> {
        // Since when stays as it was.
        query("UPDATE people SET disabled_ms = CASE WHEN CAST(?2 AS bigint) IS NULL THEN NULL ELSE coalesce(disabled_ms, ?2) END WHERE id = ?1")
            .bind(id.to_string())
            .bind(at_ms)
            .execute(self.on())
            .await?;
        Ok(())
    }

    /// `by`: who else knows it.
    pub(crate) async fn put_password(
        &mut self,
        id: PersonId,
        hash: &str,
        by: Option<&str>,
    ) -> Result<(), Error> {
        query("UPDATE people SET password = ?2, password_ms = ?3, password_by = ?4 WHERE id = ?1")
            .bind(id.to_string())
            .bind(hash)
            .bind(self.now_ms)
            .bind(by)
            .execute(self.on())
            .await?;
        Ok(())
    }

    pub(crate) async fn put_factor(
        &mut self,
        id: PersonId,
        sealed: &[u8],
        by: &str,
    ) -> Result<(), Error> {
        query(
            "UPDATE people SET factor = ?2, confirmed_ms = NULL, step = 0, factor_by = ?3, confirmed_by = NULL WHERE id = ?1",
        )
        .bind(id.to_string())
        .bind(sealed)
        .bind(by)
        .execute(self.on())
        .await?;
        Ok(())
    }

    /// `false`: it is another factor meanwhile, or somebody has confirmed it before.
    pub(crate) async fn put_confirmed(
        &mut self,
        id: PersonId,
        factor: &[u8],
        step: i64,
        by: &str,
    ) -> Result<bool, Error> {
        let put = query(
            "UPDATE people SET confirmed_ms = ?2, step = ?3, confirmed_by = ?4 WHERE id = ?1 AND factor = ?5 AND confirmed_ms IS NULL",
        )
        .bind(id.to_string())
        .bind(self.now_ms)
        .bind(step)
        .bind(by)
        .bind(factor)
        .execute(self.on())
        .await?;
        Ok(put > 0)
    }

    /// Uses a code: `false` where that one, or a later one, was used.
    pub(crate) async fn take_step(&mut self, id: PersonId, step: i64) -> Result<bool, Error> {
        let taken = query(
            "UPDATE people SET step = ?2 WHERE id = ?1 AND step < ?2 AND confirmed_ms IS NOT NULL",
        )
        .bind(id.to_string())
        .bind(step)
        .execute(self.on())
        .await?;
        Ok(taken > 0)
    }

    pub(crate) async fn take_recovery(
        &mut self,
        id: PersonId,
        hash: &[u8; 32],
    ) -> Result<bool, Error> {
        let taken = query("DELETE FROM recovery_codes WHERE person = ?1 AND hash = ?2")
            .bind(id.to_string())
            .bind(hash.as_slice())
            .execute(self.on())
            .await?;
        Ok(taken > 0)
    }

    pub(crate) async fn insert_recovery(
        &mut self,
        id: PersonId,
        hash: &[u8; 32],
    ) -> Result<(), Error> {
        query("INSERT INTO recovery_codes (person, hash) VALUES (?1, ?2)")
            .bind(id.to_string())
            .bind(hash.as_slice())
            .execute(self.on())
            .await?;
        Ok(())
    }

    pub(crate) async fn delete_recovery(&mut self, id: PersonId) -> Result<(), Error> {
        query("DELETE FROM recovery_codes WHERE person = ?1")
            .bind(id.to_string())
            .execute(self.on())
            .await?;
        Ok(())
    }

    pub(crate) async fn insert_session(&mut self, new: &NewSession) -> Result<(), Error> {
        query(
            "INSERT INTO sessions (hash, person, address, created_ms, seen_ms, expires_ms) VALUES (?1, ?2, ?3, ?4, ?4, ?5)",
        )
        .bind(new.hash.as_slice())
        .bind(new.person.to_string())
        .bind(&new.address)
        .bind(self.now_ms)
        .bind(new.expires_ms)
        .execute(self.on())
        .await?;
        Ok(())
    }

    pub(crate) async fn session_seen(&mut self, hash: &[u8; 32], at_ms: i64) -> Result<(), Error> {
        query("UPDATE sessions SET seen_ms = ?2 WHERE hash = ?1 AND seen_ms < ?2")
            .bind(hash.as_slice())
            .bind(at_ms)
            .execute(self.on())
            .await?;
        Ok(())
    }

    pub(crate) async fn delete_session(&mut self, hash: &[u8; 32]) -> Result<(), Error> {
        query("DELETE FROM sessions WHERE hash = ?1")
            .bind(hash.as_slice())
            .execute(self.on())
            .await?;
        Ok(())
    }

    pub(crate) async fn delete_sessions_of(&mut self, id: PersonId) -> Result<(), Error> {
        query("DELETE FROM sessions WHERE person = ?1")
            .bind(id.to_string())
            .execute(self.on())
            .await?;
        Ok(())
    }

    /// Those that are over.
    pub(crate) async fn delete_sessions(&mut self, now_ms: i64) -> Result<(), Error> {
        query("DELETE FROM sessions WHERE expires_ms <= ?1")
            .bind(now_ms)
            .execute(self.on())
            .await?;
        Ok(())
    }

    /// How many were not good, since when, and until when none is taken.
    pub(crate) async fn tries(
        &mut self,
        name: &[u8; 32],
    ) -> Result<Option<(i64, i64, i64)>, Error> {
        let row = query("SELECT failed, at_ms, until_ms FROM tries WHERE name = ?1")
            .bind(name.as_slice())
            .fetch_optional(self.on())
            .await?;
        row.map(|row| {
            Ok((
                row.try_get("failed")?,
                row.try_get("at_ms")?,
                row.try_get("until_ms")?,
            ))
        })
        .transpose()
    }

    pub(crate) async fn put_tries(
        &mut self,
        name: &[u8; 32],
        failed: i64,
        until_ms: i64,
    ) -> Result<(), Error> {
        query(
            "INSERT INTO tries (name, failed, at_ms, until_ms) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT (name) DO UPDATE SET failed = excluded.failed, at_ms = excluded.at_ms, until_ms = excluded.until_ms",
        )
        .bind(name.as_slice())
        .bind(failed)
        .bind(self.now_ms)
        .bind(until_ms)
        .execute(self.on())
        .await?;
        Ok(())
    }

    pub(crate) async fn delete_tries(&mut self, name: &[u8; 32]) -> Result<(), Error> {
        query("DELETE FROM tries WHERE name = ?1")
            .bind(name.as_slice())
            .execute(self.on())
            .await?;
        Ok(())
    }

    /// Keeps so many names. One that is locked is not forgotten for one that is not.
    pub(crate) async fn trim_tries(&mut self, most: i64) -> Result<(), Error> {
        let count: i64 = query("SELECT count(*) FROM tries")
            .scalar(self.on())
            .await?;
        if count > most {
            query("DELETE FROM tries WHERE name IN (SELECT name FROM tries ORDER BY until_ms, failed, at_ms LIMIT ?1)")
                .bind(count - most)
                .execute(self.on())
                .await?;
        }
        Ok(())
    }

    pub(crate) async fn delete_old_tries(&mut self, before_ms: i64) -> Result<(), Error> {
        query("DELETE FROM tries WHERE at_ms < ?1 AND until_ms < ?2")
            .bind(before_ms)
            .bind(self.now_ms)
            .execute(self.on())
            .await?;
        Ok(())
    }

    pub(crate) async fn insert_sign_in(
        &mut self,
        state: &[u8; 32],
        begun: &BegunSignIn,
    ) -> Result<(), Error> {
        query("INSERT INTO sign_ins (state, nonce, verifier, at_ms) VALUES (?1, ?2, ?3, ?4)")
            .bind(state.as_slice())
            .bind(&begun.nonce)
            .bind(&begun.verifier)
            .bind(self.now_ms)
            .execute(self.on())
            .await?;
        Ok(())
    }

    pub(crate) async fn take_sign_in(
        &mut self,
        state: &[u8; 32],
    ) -> Result<Option<BegunSignIn>, Error> {
        let row = query("DELETE FROM sign_ins WHERE state = ?1 RETURNING nonce, verifier")
            .bind(state.as_slice())
            .fetch_optional(self.on())
            .await?;
        row.map(|row| {
            Ok(BegunSignIn {
                nonce: row.try_get("nonce")?,
                verifier: row.try_get("verifier")?,
            })
        })
        .transpose()
    }

    /// Keeps so many, the newest.
    pub(crate) async fn trim_sign_ins(&mut self, most: i64) -> Result<(), Error> {
        let count: i64 = query("SELECT count(*) FROM sign_ins")
            .scalar(self.on())
            .await?;
        if count > most {
            query("DELETE FROM sign_ins WHERE state IN (SELECT state FROM sign_ins ORDER BY at_ms LIMIT ?1)")
                .bind(count - most)
                .execute(self.on())
                .await?;
        }
        Ok(())
    }

    pub(crate) async fn delete_sign_ins(&mut self, before_ms: i64) -> Result<(), Error> {
        query("DELETE FROM sign_ins WHERE at_ms < ?1")
            .bind(before_ms)
            .execute(self.on())
            .await?;
        Ok(())
    }
}

fn proofs(row: &Row) -> Result<Proofs, Error> {
    let factor: Option<&[u8]> = row.try_get("factor")?;
    let mut given_by = Vec::new();
    for column in ["password_by", "factor_by", "confirmed_by"] {
        let by: Option<&str> = row.try_get(column)?;
        given_by.extend(by.map(str::to_owned));
    }
    Ok(Proofs {
        person: person(row)?,
        password: row.try_get("password")?,
        factor: factor.map(<[u8]>::to_vec),
        step: row.try_get("step")?,
        given_by,
    })
}

fn person(row: &Row) -> Result<Person, Error> {
    let password: Option<&str> = row.try_get("password")?;
    let confirmed_ms: Option<i64> = row.try_get("confirmed_ms")?;
    Ok(Person {
        id: parsed(row, "id")?.ok_or(DAMAGED)?,
        name: parsed::<OperatorId>(row, "name")?.ok_or(DAMAGED)?,
        shown: row.try_get("shown")?,
        tenant: parsed(row, "tenant")?,
        role: named(row, "role", Role::from_name)?,
        extension: row.try_get("extension")?,
        language: row.try_get("language")?,
        email: row.try_get("email")?,
        subject: row.try_get("subject")?,
        has_password: password.is_some(),
        has_factor: confirmed_ms.is_some(),
        created_ms: row.try_get("created_ms")?,
        created_by: row.try_get("created_by")?,
        disabled_ms: row.try_get("disabled_ms")?,
    })
}

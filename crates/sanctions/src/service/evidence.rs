//! What a department shows of its checks, what is said of the decisions that needed
//! one, and what has to be put right.

use tally_auth::Caller;
use tally_eventlog::consumer::Progress;
use tally_proto::tally::sanctions::v1 as pb;
use tally_rpc::Fault;
use tally_service::field::Faults;
use tally_service::jws::Signer;
use tally_service::wiring::CATCH_UP_WAIT;
use tonic::Request;

use super::Sanctions;
use crate::answered::Answered;
use crate::corrections;
use crate::decisions::{Counts, Page};
use crate::receipt::Claims;
use crate::respond;

impl Sanctions {
    pub(super) async fn do_get_signed_receipt(
        &self,
        request: Request<pb::GetSignedReceiptRequest>,
    ) -> Result<pb::GetSignedReceiptResponse, Fault> {
        let caller = Caller::of(&request)?;
        let (department, _) = self.member(caller, "sanctions.receipt")?;
        let signer = self.signer()?;
        let mut faults = Faults::default();
        let id = respond::uuid(&mut faults, "check_id", &request.get_ref().check_id);
        let id = id.ok_or_else(|| Fault::invalid(faults.into_vec()))?;
        let found = Answered::find(&*self.deps.store, department.as_str(), &id).await?;
        let answered = found.ok_or_else(|| {
            Fault::not_found(
                "CHECK_UNKNOWN",
                "the department has made no check of that id; look at the id it was asked under",
            )
        })?;
        let jws = signer.sign(&Claims::of(&answered));
        Ok(pb::GetSignedReceiptResponse { jws })
    }

    pub(super) fn do_get_receipt_keys(
        &self,
        request: &Request<pb::GetReceiptKeysRequest>,
    ) -> Result<pb::GetReceiptKeysResponse, Fault> {
        Caller::of(request)?;
        Ok(pb::GetReceiptKeysResponse {
            jwk_set: self.signer()?.published().to_string(),
        })
    }

    pub(super) async fn do_list_decisions(
        &self,
        request: Request<pb::ListDecisionsRequest>,
    ) -> Result<pb::ListDecisionsResponse, Fault> {
        let caller = Caller::of(&request)?;
        let store = &*self.deps.store;
        let department = caller.department.as_ref();
        let page = Page::decode(request.get_ref(), department, store.shards().get())?;
        self.decisions_known().await?;
        page.read(store).await
    }

    pub(super) async fn do_get_decision_counts(
        &self,
        request: Request<pb::GetDecisionCountsRequest>,
    ) -> Result<pb::GetDecisionCountsResponse, Fault> {
        let caller = Caller::of(&request)?;
        let counts = Counts::decode(request.get_ref(), caller.department.as_ref())?;
        self.decisions_known().await?;
        counts.read(&*self.deps.store).await
    }

    pub(super) async fn do_list_corrections(
        &self,
        request: Request<pb::ListCorrectionsRequest>,
    ) -> Result<pb::ListCorrectionsResponse, Fault> {
        let caller = Caller::of(&request)?;
        let store = &*self.deps.store;
        let department = caller.department.as_ref();
        let page = corrections::Page::decode(request.get_ref(), department, store.shards().get())?;
        self.known(&self.own, "CORRECTIONS_BEHIND", "corrections")
            .await?;
        page.read(store).await
    }

    fn signer(&self) -> Result<&Signer, Fault> {
        self.signer.as_deref().ok_or_else(|| {
            Fault::rejected(
                "RECEIPT_KEY_MISSING",
                "this process was given no key to sign receipts with; the operator gives it one",
            )
        })
    }

    /// A report that lacks what was reported just now, or since its reader stopped,
    /// would clear whoever asked nothing. The records come first: what is found of
    /// them is in the own log then.
    async fn decisions_known(&self) -> Result<(), Fault> {
        for reader in [&self.records, &self.own] {
            self.known(reader, "DECISIONS_BEHIND", "decisions").await?;
        }
        Ok(())
    }

    /// Waits until `reader` has taken in all that its log holds now.
    async fn known(
        &self,
        reader: &Progress,
        reason: &'static str,
        what: &str,
    ) -> Result<(), Fault> {
        if self.deps.sources.caught_up_everywhere(reader).await {
            return Ok(());
        }
        let message = format!("what is known of the {what} is behind the log; ask again");
        Err(Fault::unavailable(reason, message, CATCH_UP_WAIT))
    }
}

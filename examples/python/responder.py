#!/usr/bin/env python3
"""A responding department: takes its directives, executes them, reports, undoes what is lifted.

    responder.py --mesh tally-data --system tax --officer tax-1 --journal tax.sqlite --basis tally-credit-regulations/18@1

It can be killed at any moment and started again: nothing is forgotten and nothing is done twice.
Before the first call about an item of the mailbox it writes down that it has begun; every command's id
derives from that, so that a repeat has the same id and the mesh gives the first result. The cursor
moves in the same transaction as the outcome, after all calls.

Exit codes: 0 the end was reached (--until-head), 3 the mesh refused what a person has to look at,
4 the mesh could not be reached for long.
"""

import argparse
import datetime
import sys
import tempfile
import zoneinfo

import grpc

from journal import Journal
from mesh import Refused, REPEAT, TRIES, call, confirm, connect, derived_id, details_of, make_stubs, pause

# Someone else has done it, at a desk or before the journal was lost: nothing is left to do.
DONE = {"DIRECTIVE_STATE", "DECISION_RECORDED", "REPORT_NOT_OWED", "FEEDBACK_ACCEPTED", "FEEDBACK_CLOSED"}
# It may not be applied now; the mailbox brings what comes of it.
STOPPED = {"ENTRY_SUSPENDED", "ENTRY_NOT_IN_FORCE", "DIRECTIVE_LIFTED", "LIFT_CONFIRMED"}
# The places of this journal are not of this log.
DIVERGED = """the log was restored from a backup, or this journal is of another mesh.
Tell the operator. Then begin with a new journal: every directive comes again, and what
was done is answered as done; compare both journals by directive id before you undo anything."""


class Responder:
    def __init__(self, options, journal, ask):
        from tally.feedback.v1 import feedback_pb2, feedback_pb2_grpc
        from tally.log.v1 import log_pb2
        from tally.sanctions.v1 import sanctions_pb2, sanctions_pb2_grpc

        self.options, self.journal, self.ask = options, journal, ask
        self.log, self.feedback, self.sanctions = log_pb2, feedback_pb2, sanctions_pb2
        mesh, system, officer = options.mesh, options.system, options.officer
        self.system = sanctions_pb2_grpc.SanctionsServiceStub(connect(mesh, system, "sanctions"))
        # A machine executes nothing by itself: an officer does, under a certificate of their own.
        self.officer = sanctions_pb2_grpc.SanctionsServiceStub(connect(mesh, officer, "sanctions"))
        self.reports = feedback_pb2_grpc.FeedbackServiceStub(connect(mesh, system, "feedback"))

    def run(self):
        """Reads the mailbox; opens the stream again when it breaks."""
        attempt = 0
        while True:
            try:
                for item in self.system.Subscribe(self.subscription()):
                    self.handle(item)
                    attempt = 0
                if self.options.until_head:
                    return
            except grpc.RpcError as error:
                reason, delay = details_of(error)
                attempt += 1
                if error.code() not in REPEAT or attempt == TRIES:
                    raise Refused(error.code(), reason, error.details()) from error
                pause(attempt, delay)

    def subscription(self):
        cursor = self.log.Cursor()
        for log_id, place in self.journal.places():
            cursor.log_id = log_id
            cursor.shards.add().ParseFromString(place)
        return self.sanctions.SubscribeRequest(cursor=cursor, until_head=self.options.until_head)

    def handle(self, item):
        kinds = self.sanctions.MailboxItemKind
        work = Work(self, item)
        state = self.journal.state(item.directive.directive_id)
        if item.kind == kinds.MAILBOX_ITEM_KIND_TRIGGERED:
            work.step("acknowledge", self.system.Acknowledge, self.sanctions.AcknowledgeRequest)
            state = work.apply()
        elif item.kind == kinds.MAILBOX_ITEM_KIND_SUSPENDED:
            # From here on the department's windows apply nothing.
            state = {"waiting": "suspended", "applied": "paused"}.get(state, state)
        elif item.kind == kinds.MAILBOX_ITEM_KIND_RESUMED:
            state = "applied" if state == "paused" else work.apply()
        elif item.kind == kinds.MAILBOX_ITEM_KIND_LIFTED:
            state = work.undo(was_applied=state in ("applied", "paused"))
        self.journal.finish(item, state)
        print("handled", item.directive.directive_id, state, flush=True)


class Work:
    """What is done about one item."""

    def __init__(self, responder, item):
        self.responder, self.directive = responder, item.directive
        self.place = (item.cursor.shard, item.cursor.number)
        self.met_ms, decision = responder.journal.begin(*self.place)
        met = datetime.datetime.fromtimestamp(self.met_ms / 1000, zoneinfo.ZoneInfo(responder.options.time_zone))
        # The day and the number, too, are the same when it is repeated.
        self.day = met.date().isoformat()
        self.document = responder.log.DocumentRef(number=f"decision {met.year}-{decision}")

    def id(self, what):
        return derived_id(self.met_ms, self.directive.directive_id, *self.place, what)

    def step(self, what, method, request, **fields):
        """One command. True if it is done; False if it may not be done now."""
        self.responder.ask(f"{what} {self.directive.directive_id}")
        request = request(command_id=self.id(what), directive_id=self.directive.directive_id, **fields)
        try:
            call(method, request)
        except Refused as refused:
            if refused.reason not in DONE | STOPPED:
                raise
            print(what, self.directive.directive_id, refused.reason, flush=True)
            return refused.reason in DONE
        print(what, self.directive.directive_id, flush=True)
        return True

    def apply(self):
        """Executes what is executed once, notes what is applied at each window; reports. Gives the new state."""
        to, pb = self.responder, self.responder.sanctions
        if self.directive.standing:
            if not self.step("start", to.system.Start, pb.StartRequest):
                return "suspended"
            check_id = ""
        else:
            check_id = self.check()
            fields = {"decision": self.document, "executed_on": self.day, "check_id": check_id}
            if not check_id or not self.step("execute", to.officer.Execute, pb.ExecuteRequest, **fields):
                return "suspended"
        outcome = to.feedback.REPORTED_OUTCOME_EXECUTED
        fields = {"outcome": outcome, "document": self.document, "done_on": self.day, "check_id": check_id}
        self.step("report", to.reports.Report, to.feedback.ReportRequest, **fields)
        return "applied"

    def check(self):
        """The id of a check that says that the entry is in force; nothing if it is not."""
        pb, options = self.responder.sanctions, self.responder.options
        self.responder.ask(f"check {self.directive.directive_id}")
        basis, version = options.basis.rsplit("@", 1)
        request = pb.CheckRequest(
            check_id=self.id("check"),
            subject=self.directive.subject,
            purpose=options.purpose,
            case_number=self.document.number,
            legal_basis=self.responder.log.LegalBasisRef(id=basis, version=int(version)),
        )
        for attempt in range(TRIES):
            answer = call(self.responder.system.Check, request)
            print("check", self.directive.directive_id, pb.CheckOutcome.Name(answer.outcome), flush=True)
            if answer.outcome != pb.CHECK_OUTCOME_UNDETERMINED:
                entries = {entry.entry_id for entry in answer.entries}
                return answer.check_id if self.directive.entry_id in entries else ""
            # Asked again under the same id, it gives the first receipt and the state now.
            pause(attempt, None)
        raise Refused(grpc.StatusCode.UNAVAILABLE, answer.undetermined_reason, "the check stays undetermined")

    def undo(self, was_applied):
        """Undoes what was applied, and says so."""
        to, pb = self.responder, self.responder.sanctions
        fields = {"document": self.document} if was_applied else {}
        try:
            self.step("confirm-lift", to.system.ConfirmLift, pb.ConfirmLiftRequest, **fields)
        except Refused as refused:
            if refused.reason != "DOCUMENT_REQUIRED":
                raise
            # It was executed at a desk, which this journal does not know.
            self.step("confirm-lift", to.system.ConfirmLift, pb.ConfirmLiftRequest, document=self.document)
        return "undone"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mesh", default="tally-data", help="data directory of the mesh: endpoint and certificates")
    parser.add_argument("--system", required=True, help="name of the certificate of the department's system")
    parser.add_argument("--officer", required=True, help="name of the certificate of the officer who executes")
    parser.add_argument("--journal", required=True, help="SQLite file that is kept between runs")
    parser.add_argument("--basis", required=True, help="legal basis of checks: id@version")
    parser.add_argument("--purpose", default="procurement", help="purpose of checks, as the policy pack names it")
    parser.add_argument("--time-zone", default="Asia/Shanghai", help="the policy pack's, in which days are counted")
    parser.add_argument("--confirm", action="store_true", help="ask before each call, and go on after a line `yes`")
    parser.add_argument("--until-head", action="store_true", help="end when the mailbox has no more")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as stubs:
        make_stubs(stubs)
        ask = confirm if options.confirm else lambda step: None
        try:
            Responder(options, Journal(options.journal), ask).run()
        except Refused as refused:
            print(f"stopped: {refused}", file=sys.stderr)
            if refused.reason == "LOG_DIVERGED":
                print(DIVERGED, file=sys.stderr)
            sys.exit(4 if refused.status in REPEAT else 3)


if __name__ == "__main__":
    main()

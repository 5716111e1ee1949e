//! Which command makes which call of the contracts.

/// The call as its path, and the command whose purpose it is; others may make it besides.
pub const COMMANDS: &[(&str, &str)] = &[
    ("/tally.audit.v1.AuditService/Replay", "replay"),
    ("/tally.audit.v1.AuditService/AsOf", "as-of"),
    ("/tally.audit.v1.AuditService/Rebuild", "rebuild"),
    ("/tally.audit.v1.AuditService/Verify", "verify"),
    (
        "/tally.catalog.v1.CatalogService/LoadPolicyPack",
        "policy load",
    ),
    (
        "/tally.catalog.v1.CatalogService/GetPolicyPack",
        "policy show",
    ),
    ("/tally.collection.v1.CollectionService/PushRecords", "push"),
    (
        "/tally.collection.v1.CollectionService/PushRecord",
        "quarantine resubmit",
    ),
    (
        "/tally.collection.v1.CollectionService/CorrectRecord",
        "correct",
    ),
    (
        "/tally.collection.v1.CollectionService/WithdrawRecord",
        "withdraw",
    ),
    ("/tally.collection.v1.CollectionService/GetRecord", "record"),
    (
        "/tally.collection.v1.CollectionService/GetTimeliness",
        "stats timeliness",
    ),
    ("/tally.collection.v1.CollectionService/GetCounts", "stats"),
    (
        "/tally.collection.v1.CollectionService/ListQuarantine",
        "quarantine list",
    ),
    (
        "/tally.collection.v1.CollectionService/GetQuarantined",
        "quarantine show",
    ),
    (
        "/tally.collection.v1.CollectionService/DiscardQuarantined",
        "quarantine discard",
    ),
    (
        "/tally.collection.v1.CollectionService/GetQuarantineCounts",
        "quarantine counts",
    ),
    (
        "/tally.collection.v1.CollectionService/FollowRegistrations",
        "follow registrations",
    ),
    (
        "/tally.collection.v1.CollectionService/FollowPublications",
        "follow records",
    ),
    ("/tally.feedback.v1.FeedbackService/Report", "report submit"),
    (
        "/tally.feedback.v1.FeedbackService/AcceptReport",
        "report accept",
    ),
    (
        "/tally.feedback.v1.FeedbackService/ReturnReport",
        "report return",
    ),
    (
        "/tally.feedback.v1.FeedbackService/GetFeedback",
        "report show",
    ),
    ("/tally.feedback.v1.FeedbackService/GetStatistics", "stats"),
    (
        "/tally.feedback.v1.FeedbackService/StreamFeedback",
        "feedback",
    ),
    ("/tally.lists.v1.ListsService/Nominate", "list nominate"),
    ("/tally.lists.v1.ListsService/Notify", "list notify"),
    ("/tally.lists.v1.ListsService/Represent", "list represent"),
    ("/tally.lists.v1.ListsService/List", "list confirm"),
    ("/tally.lists.v1.ListsService/Drop", "list drop"),
    (
        "/tally.lists.v1.ListsService/AcceptObjection",
        "object accept",
    ),
    ("/tally.lists.v1.ListsService/Uphold", "object uphold"),
    (
        "/tally.lists.v1.ListsService/CorrectOut",
        "object correct-out",
    ),
    (
        "/tally.lists.v1.ListsService/RequestRemoval",
        "list request-removal",
    ),
    ("/tally.lists.v1.ListsService/Remove", "list remove"),
    ("/tally.lists.v1.ListsService/LinkIdentifiers", "link"),
    ("/tally.lists.v1.ListsService/UnlinkIdentifiers", "unlink"),
    ("/tally.lists.v1.ListsService/GetEntry", "list show"),
    (
        "/tally.lists.v1.ListsService/GetSubjectEntries",
        "list show",
    ),
    (
        "/tally.lists.v1.ListsService/FollowPublications",
        "follow lists",
    ),
    ("/tally.log.v1.LogService/GetHeads", "heads"),
    ("/tally.node.v1.NodeService/ListParked", "parked list"),
    ("/tally.node.v1.NodeService/GetParked", "parked show"),
    ("/tally.node.v1.NodeService/ReplayParked", "parked replay"),
    ("/tally.node.v1.NodeService/Reconcile", "reconcile"),
    ("/tally.node.v1.NodeService/GetStatus", "status"),
    ("/tally.node.v1.NodeService/PauseReader", "reader pause"),
    ("/tally.node.v1.NodeService/AdvanceClock", "clock"),
    (
        "/tally.sanctions.v1.SanctionsService/Subscribe",
        "subscribe",
    ),
    (
        "/tally.sanctions.v1.SanctionsService/Acknowledge",
        "directive acknowledge",
    ),
    (
        "/tally.sanctions.v1.SanctionsService/Start",
        "directive start",
    ),
    (
        "/tally.sanctions.v1.SanctionsService/Execute",
        "directive execute",
    ),
    (
        "/tally.sanctions.v1.SanctionsService/Decline",
        "directive decline",
    ),
    (
        "/tally.sanctions.v1.SanctionsService/ConfirmLift",
        "directive confirm-lift",
    ),
    (
        "/tally.sanctions.v1.SanctionsService/GetDirective",
        "directive show",
    ),
    (
        "/tally.sanctions.v1.SanctionsService/ListCorrections",
        "corrections",
    ),
    ("/tally.sanctions.v1.SanctionsService/Check", "check"),
    (
        "/tally.sanctions.v1.SanctionsService/CheckMany",
        "check-many",
    ),
    (
        "/tally.sanctions.v1.SanctionsService/GetSignedReceipt",
        "receipt get",
    ),
    (
        "/tally.sanctions.v1.SanctionsService/GetReceiptKeys",
        "receipt keys",
    ),
    (
        "/tally.sanctions.v1.SanctionsService/ListDecisions",
        "decisions list",
    ),
    (
        "/tally.sanctions.v1.SanctionsService/GetDecisionCounts",
        "decisions counts",
    ),
];

/// The command that makes a call, where there is one.
pub(super) fn command_for(path: &str) -> Option<&'static str> {
    let found = COMMANDS.iter().find(|(call, _)| *call == path);
    found.map(|(_, command)| *command)
}

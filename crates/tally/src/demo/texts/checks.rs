//! The names of the checks.

use super::texts;

texts! {
    CHECK_PACK: "items of the policy pack", "政策包条目数";

    CHECK_PUSH: "push: {0}", "推送：{0}";
    CHECK_PUSH_ODD: "push: {0}: answers out of order or other than expected", "推送：{0}：次序有误或与预期不符的答复";
    CHECK_IMPORT: "import: {0}", "导入：{0}";
    CHECK_IMPORT_FAULTS: "import: {0}: faults named in its report", "导入：{0}：报告中指出的错误数";

    CHECK_QUARANTINE_CLOSED: "quarantine: corrected rows that name their record", "暂存：更正重报后注明所成信息的行";
    CHECK_QUARANTINE: "quarantine: {0}", "暂存：{0}";

    CHECK_LISTED: "subjects listed by two officers", "由两名经办人员列入的主体";
    CHECK_REPRESENTATION: "last day for a representation", "陈述申辩截止日";
    CHECK_NO_COMPETENCE: "a department without competence nominates", "无权部门提名";
    CHECK_ALONE: "the nominating officer lists", "提名人员自行列入";
    CHECK_TOO_EARLY: "a subject is listed before it had its say", "陈述申辩前列入";

    CHECK_DIRECTIVES: "directives, by the memoranda of the pack", "按政策包合作备忘录应有的任务数";
    CHECK_DIRECTIVES_OTHER: "listings with other directives than due", "任务与应有不符的列入";
    CHECK_REPORT_BY: "directives with another last day to report", "反馈截止日有误的任务";
    CHECK_OWN_REPORT: "a responder accepts its own report", "响应部门采纳自己的反馈";

    CHECK_AS_KNOWN: "checks answered as the clients know", "查询答复与所知一致";
    CHECK_ASKED_AGAIN: "checks asked again give the first receipt", "再次查询得到首次回执";
    CHECK_CHECKED: "a check {0}", "查询：{0}";

    CHECK_RECEIPT: "the signed receipt of a check, by the public keys alone", "仅凭公钥验证查询的签名回执";
    CHECK_RECEIPT_ALTERED: "the same receipt without its signature", "去掉签名的同一回执";
    CHECK_DECISIONS: "decisions: {0}", "应查必查：{0}";
    CHECK_DECISIONS_DIFFER: "decisions: departments and verdicts that differ", "应查必查：不一致的部门与结论";

    CHECK_TOKEN: "a check with the objection's receipt", "携异议回执查询";
    CHECK_SUSPENDED: "directives told to stop", "被告知中止的任务";
    CHECK_SUSPENDED_AGAIN: "directives told to stop by the open objection", "因未决异议被告知中止的任务";
    CHECK_RESUMED: "directives still told to stop", "仍处于中止状态的任务";
    CHECK_SERIOUS: "a serious record about an honest taxpayer", "关于诚信纳税人的严重失信信息";
    CHECK_EXECUTE_SUSPENDED: "a suspended directive is executed", "执行已中止的任务";
    CHECK_LISTER_DECIDES: "the listing officer decides the objection", "列入人员处理该异议";
    CHECK_ALONE_REMOVES: "one officer alone takes off a red entry", "一名经办人员独自移出红名单";
    CHECK_LIFTED: "{0}: lifts confirmed", "{0}：已确认解除的任务";

    CHECK_OVERDUE_FIRST: "first listings: overdue reports escalated", "首批名单：逾期反馈已升级督办";
    CHECK_OVERDUE_SECOND: "second listings: overdue reports escalated", "第二批名单：逾期反馈已升级督办";

    CHECK_LIVE: "mailboxes: items by open subscription", "信箱：持续订阅收到的消息数";
    CHECK_GAPS: "mailboxes: gaps in the numbers", "信箱：编号缺漏";

    CHECK_STREAM: "province, stream: {0}", "省级平台，反馈流：{0}";
    CHECK_STREAM_BEHIND: "province: items behind the last cursor", "省级平台：最后位置之后的消息";
    CHECK_STATISTICS: "province, statistics: {0}", "省级平台，统计：{0}";
    CHECK_STATISTICS_DIFFER: "province, statistics: departments and measures that differ", "省级平台，统计：不一致的部门与措施";
    CHECK_LISTS: "lists whose entries stand elsewhere than known", "状态与所知不符的名单";
    CHECK_COUNTS: "records: {0}", "信用信息：{0}";
    CHECK_COUNTS_DIFFER: "records: departments and items that differ", "信用信息：不一致的部门与类别";

    CHECK_REPLAY_LOG: "replay: records of {0}", "重放：日志 {0} 的记录数";
    CHECK_REPLAY_ROOTS: "replay: roots recomputed from the bytes", "重放：由字节重算的树根";
    CHECK_REPLAY_PLACE: "replay: records out of place or altered", "重放：错位或被改动的记录";
    CHECK_REPLAY_JSON: "replay: lines that are not one JSON object", "重放：不是单个 JSON 对象的行";
    CHECK_REPLAY_SECRETS: "replay: personal values in clear", "重放：明文个人信息";

    CHECK_AS_OF: "as-of {0}, as known {1}", "{0} 在效情况，以{1}所知为准";
    CHECK_CLOSED: "as-of {0}, as known {1}: closed", "{0} 在效情况，以{1}所知为准：已封闭";
    CHECK_AS_OF_WRONG: "as-of: the wrong one, before and after its correction", "列入有误的主体，更正前后的在效情况";
    CHECK_REBUILD: "rebuild: rows that differ", "重建：不一致的行";
    CHECK_REBUILD_ROWS: "rebuild: rows compared", "重建：已比对的行";
    CHECK_VERIFY: "verify: faults", "验证：错误";
    CHECK_VERIFY_HEADS: "verify: shards with the size and root of their head", "验证：大小与树根均与头部一致的分片";

    CHECK_SHOWN: "personal fields shown to their department", "向本部门显示的个人信息项";
    CHECK_WITHHELD: "personal fields withheld from two others", "对另外两方隐去的个人信息项";
    CHECK_LEAKED: "personal fields shown to two others", "向另外两方显示的个人信息项";
    CHECK_SECRETS: "personal values in clear in the data directory", "数据目录中的明文个人信息";
}

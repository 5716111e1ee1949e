//! What is told while the demo runs, and the words of its tables.

use super::texts;

texts! {
    OPEN: "a mesh of its own", "启动独立的网络";
    STARTED: "started in {0} ms, on {1}", "用时 {0} 毫秒启动，日期为 {1}";
    PACK: "{0}, version {1}: {2} items", "{0}，版本 {1}：{2} 个条目";
    DEPARTMENTS: "{0} departments, {1} lists", "{0} 个部门，{1} 类名单";
    CLOCK: "the clock is moved to {0}", "时钟拨至 {0}";
    NAMED: "{0}: {1}", "{0}：{1}";
    NAMED_FILE: "{0}, {1}: {2}", "{0}，{1}：{2}";

    PUSH: "departments push their records", "各部门推送信用信息";
    NEW_REPEATED_REFUSED: "{0} new, {1} repeated, {2} refused", "新增 {0} 条，重复 {1} 条，退回 {2} 条";
    RECORD_AT: "record {0}: {1}", "第 {0} 条：{1}";
    REFUSED_FOR: "refused, {0}", "被退回，{0}";
    NO_OUTCOME: "no outcome", "没有结果";
    FIRST_SAID_REPEATED: "a first receipt was said to be repeated", "首次回执被标为重复";
    ACCEPTED_THOUGH_FAULTY: "accepted though faulty", "有误却被接收";
    REPEAT_TAKEN_AS_NEW: "a repeat was taken as new", "重复信息被当作新信息";
    REPEAT_WITHOUT_FIRST: "a repeat did not give the first receipt", "重复推送未得到首次回执";
    REVISED: "{0} records corrected, {1} withdrawn", "更正 {0} 条，撤回 {1} 条";

    IMPORT: "departments import tables that people filled in", "各部门导入人工填报的表格";
    IMPORTED: "{0} accepted, {1} known before, {2} quarantined, {3} refused, {4} empty", "接收 {0} 行，已有 {1} 行，暂存待改 {2} 行，退回 {3} 行，空行 {4} 行";

    QUARANTINE: "departments work their quarantine", "各部门处理暂存待改的信息";
    WORKED: "{0}: one row is corrected and handed in again, one is given up", "{0}：更正重报一行，放弃一行";
    IN_QUARANTINE: "{0} waiting, {1} handed in again, {2} given up", "待改 {0} 行，重报 {1} 行，放弃 {2} 行";

    LIST: "officers list, two for each listing", "经办人员列入名单，每次由两人办理";
    LIST_SECOND: "the days for a representation are over", "陈述申辩期满";
    LISTED_ON: "{0} listed on {1}", "{1} 列入 {0} 家";

    RESPOND: "departments read their mailboxes and act", "各部门读取信箱并办理";
    NEW_ITEMS: "{0} new items in {1} mailboxes", "{1} 个信箱共 {0} 条新消息";
    DIRECTIVES: "{0} directives: {1} prompt, {2} declining, {3} slow, {4} silent", "共 {0} 项任务：及时办理 {1} 项，说明理由不办 {2} 项，拖延 {3} 项，不作答复 {4} 项";
    REVIEW: "initiating departments review the reports", "发起部门审核反馈";
    REVIEWED: "{0} reports: {1} accepted, {2} returned", "共 {0} 份反馈：采纳 {1} 份，退回 {2} 份";

    CHECK: "departments check before they decide", "各部门作出决定前先行查询";
    ASKED: "{0} questions on streams, {1} answered as known", "查询 {0} 次，其中 {1} 次与所知一致";
    NOTHING: "nothing", "无";
    CLEAR: "clear", "无在效措施";
    IN_FORCE: "in force", "在效";
    UNDETERMINED: "undetermined", "无法判定";
    NOT_IN_FORCE: "not in force", "不在效";

    DECISIONS: "departments decide, after a check or without one", "各部门作出决定，有的先行查询，有的未查询";

    OBJECT: "two objections, and a serious record about an honest taxpayer", "两起异议，以及一条关于诚信纳税人的严重失信信息";
    OBJECT_AGAIN: "one more objection, which is still open by the end", "又一起异议，至结束时仍未处理完毕";
    DECIDE: "the objections are decided", "异议处理完毕";
    BEFORE_OBJECTION: "before the objection", "提出异议前";
    AFTER_CORRECTION: "after the correction", "更正后";
    AFTER_UPHOLDING: "after an objection without ground", "异议不成立后";
    AFTER_REMOVAL: "after the removal", "移出后";
    ON_LAST_DAY: "on the last day of the term", "期限最后一日";
    ON_DAY_AFTER: "on the day after the term", "期满次日";
    THE_WRONG: "the wrong listing", "列入有误的主体";
    THE_REMOVED: "the removed listing", "被移出的主体";
    THE_EXPIRED: "the expired listing", "期满的主体";
    PROPOSED_STILL_LISTED: "removal proposed, still listed", "已建议移出，仍在名单";
    PROPOSED_NOT_LISTED: "removal proposed, not listed", "已建议移出，不在名单";
    NOT_PROPOSED_STILL_LISTED: "removal not proposed, still listed", "未建议移出，仍在名单";
    NOT_PROPOSED_NOT_LISTED: "removal not proposed, not listed", "未建议移出，不在名单";
    REFUSED: "refused", "拒绝";
    NOT_REFUSED: "not refused", "未拒绝";

    OVERDUE_FIRST: "reports on the first listings are overdue", "首批名单的反馈逾期";
    OVERDUE_SECOND: "reports on the second listings are overdue", "第二批名单的反馈逾期";
    ESCALATED: "{0} reports escalated", "{0} 份反馈已升级督办";
    NEVER_CAME: "it did not come in time ({0})", "未在限定时间内出现（{0}）";
    SHORT_TERM: "a short term ends", "一项短期限届满";

    PROVINCE: "the province reads its stream and its statistics", "省级平台读取反馈流与统计";
    FEEDBACK_ITEMS: "{0} items of feedback", "{0} 条反馈消息";
    COUNTS: "the province counts the records", "省级平台统计信用信息";
    COUNTED: "{0} reported, {1} late, {2} refused", "报送 {0} 条，逾期 {1} 条，退回 {2} 条";

    REPLAY: "the operator replays everything", "运维人员重放全部日志";
    REPLAYED: "{0} records replayed", "重放 {0} 条记录";
    AS_OF: "the operator asks what was in force, as known when", "运维人员查询某日在效情况，并指明当时所知";
    BEFORE_IT: "before the correction", "更正前";
    AT_IT: "at the correction", "更正时";
    NOW: "now", "现在";
    BEFORE_ANYONE: "before anyone was listed", "尚无主体列入时";
    COUNT_IN_FORCE: "{0} in force", "{0} 家在效";
    COUNT_AND_OTHERS: "{0} in force and {1} others", "{0} 家在效，另有 {1} 家";
    REBUILD: "the operator rebuilds the views and verifies the logs", "运维人员重建视图并验证日志";
    REBUILT: "{0} rows of {1} readers rebuilt and compared", "重建并比对 {1} 个读者的 {0} 行";
    SOME: "some", "若干";
    SEALED: "what names a person is sealed", "可识别个人的内容均已加密";
    LOOKED_FOR: "{0} personal values looked for in {1} MB of files", "在 {1} MB 文件中查找 {0} 个个人信息值";

    TABLE_RECORDS: "records in {0}, by department and item", "{0} 各部门信用信息报送情况";
    ITEM: "item", "信息类别";
    REPORTED: "reported", "报送";
    IN_TIME: "in time", "按时";
    LATE: "late", "逾期";
    BACKFILLED: "backfilled", "补录";
    CORRECTED: "corrected", "更正";
    WITHDRAWN: "withdrawn", "撤回";
    REFUSED_ROWS: "refused", "退回";
    QUARANTINED: "quarantined", "暂存";
    RESUBMITTED: "handed in again", "重报";
    DISCARDED: "given up", "放弃";
    NO_ITEM: "(not in the catalogue)", "（目录外）";
    TOTAL: "total", "合计";
    ALL_ITEMS: "all items", "全部类别";
    TABLE_FEEDBACK: "directives of {0}, by department and measure", "{0} 各部门联合奖惩任务反馈情况";
    MEASURE: "measure", "措施";
    ALL_MEASURES: "all measures", "全部措施";
    DUE: "due", "应反馈";
    SUBMITTED: "submitted", "已反馈";
    SUBMITTED_AMENDED: "submitted, amended too", "已反馈（含修改）";
    EXECUTED: "executed", "已执行";
    DECLINED: "declined", "不执行";
    ACCEPTED: "accepted", "已采纳";
    RETURNED: "returned", "已退回";
    OVERDUE: "overdue", "逾期未报";
    CLOSED: "closed", "已终止";
    TABLE_DECISIONS: "decisions that need a check first, by department and verdict", "各部门应查必查情况";
    DEPARTMENT: "department", "部门";
    CHECKED_CLEAR: "checked, clear", "已查询，无在效措施";
    NOT_CHECKED: "not checked", "未查询";
    CHECK_OTHER_SUBJECT: "check about another", "查询对象不符";
    MEASURE_IN_FORCE: "sanction in force", "惩戒措施在效";
    HOLDS: "holds", "有效";
    HOLDS_NOT: "does not hold", "无效";
    TABLE_LISTS: "lists on {0}", "{0} 各类名单情况";
    LIST_NAME: "list", "名单";
    ENTRIES: "entries", "主体";
    SUSPENDED: "suspended", "中止";
    ENDED: "ended", "终止";

    CHECKED: "check", "核对事项";
    EXPECTED: "expected", "应为";
    FOUND: "found", "实为";
    HELD: "held", "一致";
    BROKEN: "BROKEN", "不一致";
    BROKEN_CHECK: "BROKEN: {0}: {1} / {2}", "不一致：{0}：{1} / {2}";
    HELD_IN: "{0} of {1} checks held, in {2} s", "共 {1} 项核对，一致 {0} 项，用时 {2} 秒";
}

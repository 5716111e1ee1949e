//! The languages that tables are printed in, and their words.

use clap::ValueEnum;

/// A language of tables.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum Lang {
    /// English.
    #[default]
    En,
    /// Chinese.
    Zh,
}

impl Lang {
    /// A text in this language.
    pub fn say(self, text: Text) -> &'static str {
        match self {
            Self::En => text.en,
            Self::Zh => text.zh,
        }
    }

    /// A name of the policy pack in this language; the English one where there
    /// is no other.
    pub fn name<'a>(self, name: &'a str, name_zh: Option<&'a str>) -> &'a str {
        match (self, name_zh) {
            (Self::Zh, Some(name_zh)) => name_zh,
            _ => name,
        }
    }
}

/// A text in both languages.
#[derive(Debug, Clone, Copy)]
pub struct Text {
    en: &'static str,
    zh: &'static str,
}

const fn text(en: &'static str, zh: &'static str) -> Text {
    Text { en, zh }
}

/// Heading: month.
pub const MONTH: Text = text("month", "月份");
/// Heading: catalogue item.
pub const ITEM: Text = text("item", "信息类别");
/// Heading: records accepted.
pub const REPORTED: Text = text("reported", "报送");
/// Heading: accepted in time.
pub const IN_TIME: Text = text("in time", "按时");
/// Heading: accepted late.
pub const LATE: Text = text("late", "逾期");
/// Heading: late by 1 to 3 working days.
pub const LATE_UP_TO_THREE: Text = text("1-3 days", "1-3日");
/// Heading: late by 4 to 7 working days.
pub const LATE_UP_TO_SEVEN: Text = text("4-7 days", "4-7日");
/// Heading: late by 8 to 30 working days.
pub const LATE_UP_TO_THIRTY: Text = text("8-30 days", "8-30日");
/// Heading: late by more than 30 working days.
pub const LATE_OVER_THIRTY: Text = text(">30 days", "30日以上");
/// Heading: working days late, together.
pub const DAYS_LATE: Text = text("days late", "逾期日数");
/// Heading: working days by which the latest was late.
pub const LATEST: Text = text("longest", "最长");
/// Heading: backfilled.
pub const BACKFILLED: Text = text("backfilled", "补录");
/// Heading: corrected.
pub const CORRECTED: Text = text("corrected", "更正");
/// Heading: withdrawn.
pub const WITHDRAWN: Text = text("withdrawn", "撤回");
/// Heading: rows refused.
pub const REFUSED: Text = text("refused", "退回");
/// Heading: rows put into quarantine.
pub const QUARANTINED: Text = text("quarantined", "待整改");
/// Heading: rows of the quarantine that were accepted in the end.
pub const RESUBMITTED: Text = text("resubmitted", "整改后接收");
/// Heading: rows of the quarantine that were given up.
pub const DISCARDED: Text = text("discarded", "放弃");
/// Heading: remarks.
pub const REMARKS: Text = text("remarks", "备注");
/// Remark: nothing was reported where something was due.
pub const SILENT: Text = text("nothing reported", "未报送");
/// Remark: so many may change with a holiday notice to come.
pub const PROVISIONAL: Text = text("provisional", "待节假日通知确定");
/// Item of rows that named none of the catalogue.
pub const NO_ITEM: Text = text("(not in the catalogue)", "（目录外）");
/// The last row: sums.
pub const TOTAL: Text = text("total", "合计");
/// Before the reasons of refusals.
pub const REFUSED_FOR: Text = text("refused for", "退回原因");
/// Instead of an empty table.
pub const NO_FIGURES: Text = text(
    "nothing was reported in these months, and nothing was due",
    "所选月份没有报送，也没有应报事项",
);

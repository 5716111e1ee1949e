//! The two worlds in which paths are measured: a fresh mesh with the small
//! pack, and one that holds what a province has after some time.

use tally_catalog::pack::BuiltIn;
use tally_tests::harness::{MARKET, TAX};

/// Who does what under which pack.
pub struct World {
    /// The policy pack.
    pub pack: BuiltIn,
    /// Department under whose certificate all load runs.
    pub load: &'static str,
    /// Department that lists.
    pub lister: &'static str,
    /// The black list.
    pub list_type: &'static str,
    /// Legal basis of listing.
    pub listing: &'static str,
    /// Fields of a penalty that this pack requires beyond the small pack's.
    pub fields: &'static [(&'static str, &'static str)],
}

/// The small pack.
pub const SMALL: World = World {
    pack: BuiltIn::Small,
    load: TAX,
    lister: MARKET,
    list_type: "serious-violation",
    listing: "tally-credit-regulations/20",
    fields: &[],
};

/// The province's pack; the load is that of its department of finance.
pub const PROVINCE: World = World {
    pack: BuiltIn::Province,
    load: "11990000MB000129X8",
    lister: "11990000MB00010701",
    list_type: "food-safety",
    listing: "tally-food-rules/33",
    fields: &[
        ("party_category", "法人及非法人组织"),
        ("authority", "示例省财政厅"),
        ("authority_code", "cn-uscc:11990000MB000129X8"),
        ("source", "示例省财政厅"),
        ("source_code", "cn-uscc:11990000MB000129X8"),
    ],
};

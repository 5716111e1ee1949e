//! One row of the table, as people fill it in.

use jiff::ToSpan as _;
use jiff::civil::Date;
use tally_domain::identifier::{Identifier, IdentifierFault, Scheme};
use tally_domain::policy::Target;

/// Market supervision of the province's pack.
pub const MARKET: &str = "11990000MB00010701";

/// Characters of a unified social credit code that are digits or stand for none.
const LETTERS: &[u8; 31] = b"0123456789ABCDEFGHJKLMNPQRTUWXY";

/// Cells that differ from row to row, or can be wrong.
#[derive(Debug, Clone)]
pub struct Row {
    at: u64,
    today: Date,
    /// Day of the decision.
    pub day: Date,
    /// Name of the company.
    pub name: String,
    /// Its code.
    pub code: String,
    /// Its old code.
    pub organisation_code: String,
    /// Number of the legal representative.
    pub person: String,
    /// Number of the decision.
    pub number: String,
    /// Kind of violation.
    pub violation: String,
    /// What happened.
    pub facts: String,
    /// Kind of penalty.
    pub category: String,
    /// What was decided.
    pub content: String,
    /// Amount.
    pub fine: String,
    /// Day of the decision as it is written.
    pub decided_on: String,
    /// Last day.
    pub valid_until: String,
    /// The authority's code.
    pub authority_code: String,
}

impl Row {
    /// A row without faults. Days and amounts are written in the ways that people have.
    pub fn good(at: u64, today: Date) -> Self {
        let back = i32::try_from(at % 200).expect("less than 200");
        let day = today.saturating_sub((3 + back).days());
        let decided_on = match at % 5 {
            0 => day.to_string(),
            1 => day.strftime("%Y/%m/%d").to_string(),
            2 => format!("{}年{}月{}日", day.year(), day.month(), day.day()),
            3 => day.strftime("%Y%m%d").to_string(),
            _ => day.strftime("%Y.%m.%d 00:00:00").to_string(),
        };
        let fine = match at % 4 {
            0 => "0.5".to_owned(),
            1 => "5,000元".to_owned(),
            2 => "１．５万元".to_owned(),
            _ => String::new(),
        };
        let valid_until = match at % 3 {
            0 => "长期".to_owned(),
            1 => "2099/12/31".to_owned(),
            _ => String::new(),
        };
        // Ten decisions about each company, far from one another.
        let company = at % 100_000;
        Self {
            at,
            today,
            day,
            name: format!("示例{company}号有限公司"),
            code: code(company),
            organisation_code: String::new(),
            person: String::new(),
            number: format!("示市监罚〔{}〕{at}号", day.year()),
            violation: "未经许可从事经营活动".to_owned(),
            facts: format!("当事人于{}年在其经营场所从事第{at}项活动", day.year()),
            category: ["罚款", "警告", "其他-责令改正"][(at % 3) as usize].to_owned(),
            content: "罚款人民币五千元，责令改正".to_owned(),
            fine,
            decided_on,
            valid_until,
            authority_code: MARKET.to_owned(),
        }
    }

    /// What stands in a column.
    pub fn cell(&self, target: &Target) -> &str {
        match target {
            Target::Subject(Scheme::CnUscc) => &self.code,
            Target::Subject(Scheme::CnOrgCode) => &self.organisation_code,
            Target::DocumentNumber => &self.number,
            Target::DecidedOn => &self.decided_on,
            Target::ValidUntil => &self.valid_until,
            Target::Field(name) => match name.as_str() {
                "party_name" => &self.name,
                "party_category" => "法人",
                "legal_representative" => "王芳",
                "legal_representative_id_type" if !self.person.is_empty() => "居民身份证",
                "legal_representative_id" => &self.person,
                "violation_type" => &self.violation,
                "violation_facts" => &self.facts,
                "penalty_ground" => "《示例条例》第三条第一款",
                "penalty_category" => &self.category,
                "penalty_content" => &self.content,
                "fine" => &self.fine,
                "authority" | "source" => "示例省市场监督管理局",
                "authority_code" => &self.authority_code,
                "source_code" => MARKET,
                "status" => "有效",
                _ => "",
            },
            _ => "",
        }
    }

    /// The last character of the code is another.
    pub fn wrong_check(&mut self) {
        let last = self.code.pop().expect("it has 18");
        self.code.push(if last == '1' { '2' } else { '1' });
    }

    /// Only an organisation code, with a wrong check character.
    pub fn wrong_organisation_code(&mut self) {
        self.code.clear();
        // The right one is X.
        self.organisation_code = "71430580-1".to_owned();
    }

    /// Decided tomorrow.
    pub fn tomorrow(&mut self) {
        // A day more, for zones that are ahead.
        self.decided_on = self.today.saturating_add(2.days()).to_string();
        self.valid_until.clear();
    }

    /// The row some rows before, once more.
    pub fn again(&mut self) {
        *self = Self::good(self.at - 17, self.today);
    }

    /// The same with another content.
    pub fn again_differently(&mut self) {
        self.again();
        self.content = "免于处罚".to_owned();
    }
}

/// The unified social credit code of a company, in a division that nobody has.
fn code(company: u64) -> String {
    let mut serial = company;
    let mut letters = [b'0'; 6];
    for letter in letters.iter_mut().rev() {
        *letter = LETTERS[(serial % 31) as usize];
        serial /= 31;
    }
    let letters = std::str::from_utf8(&letters).expect("ASCII");
    let organisation = completed(Scheme::CnOrgCode, &format!("MA{letters}"));
    completed(Scheme::CnUscc, &format!("91990000{organisation}"))
}

/// `body` with its check character, which the domain names in its fault.
fn completed(scheme: Scheme, body: &str) -> String {
    let guess = format!("{body}0");
    match Identifier::parse(scheme, &guess) {
        Err(IdentifierFault::CheckCharacter { expected, .. }) => format!("{body}{expected}"),
        _ => guess,
    }
}

//! What the dialplan says with `Stasis(ivrpay,tenant=…,order=…,amount=…,currency=…,mode=…)`.

use ivrpay_payment::{CallId, Currency, Money, OperatorId, OrderId, PaymentId, Transaction};
use ivrpay_prompts::Language;

/// What stands behind a key, before all is read ([`Arguments::parse`]).
pub(crate) fn values<'a>(args: &'a [String], key: &'a str) -> impl Iterator<Item = &'a str> {
    args.iter()
        .filter_map(|arg| arg.split_once('='))
        .filter(move |(name, _)| *name == key)
        .map(|(_, value)| value)
}

/// Who is at the other end of the payment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Mode {
    /// An operator waits to have the caller back.
    #[default]
    Attended,
    /// The caller rang the payment line.
    SelfService,
    /// Practice: nothing leaves, nobody is charged.
    Training,
}

/// The arguments, read.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Arguments {
    pub(crate) tenant: Option<String>,
    pub(crate) payment: Option<PaymentId>,
    pub(crate) order: Option<OrderId>,
    pub(crate) part: u32,
    pub(crate) amount: Option<String>,
    pub(crate) currency: Option<Currency>,
    pub(crate) language: Option<Language>,
    pub(crate) operator: Option<OperatorId>,
    pub(crate) operator_extension: Option<String>,
    pub(crate) mode: Mode,
    /// The caller has no operator and no payment yet: he is asked for his order.
    pub(crate) line: bool,
    /// The order that is in the number that he dialled.
    pub(crate) dialled: Option<OrderId>,
    /// The customer was called by us, and has answered.
    pub(crate) call: Option<CallId>,
    /// What the card is for, where it is said.
    pub(crate) transaction: Option<Transaction>,
}

impl Arguments {
    /// Reads `key=value` arguments. An empty value is an absent one, since the dialplan sends what a variable holds.
    ///
    /// # Errors
    /// The argument that can't be used, in words for an admin; never its value.
    pub(crate) fn parse(args: &[String]) -> Result<Self, &'static str> {
        let mut read = Self::default();
        for arg in args {
            let (key, value) = arg
                .split_once('=')
                .ok_or("an argument is not of the form key=value")?;
            let value = value.trim();
            if value.is_empty() {
                continue;
            }
            match key.trim() {
                "tenant" => read.tenant = Some(value.to_owned()),
                "payment" => {
                    read.payment = Some(value.parse().map_err(|_| "payment is no payment id")?)
                }
                "order" => read.order = Some(OrderId::new(value).map_err(
                    |_| "order is no order id (64 letters, digits, -_.:/ at most, no card number)",
                )?),
                "part" => read.part = value.parse().map_err(|_| "part is no whole number")?,
                "amount" => read.amount = Some(value.to_owned()),
                "currency" => {
                    read.currency = Some(
                        value
                            .parse()
                            .map_err(|_| "currency is not one that we know")?,
                    )
                }
                "language" => {
                    read.language = Some(value.parse().map_err(|_| "language is ja or en")?)
                }
                "operator" => {
                    read.operator =
                        Some(OperatorId::new(value).map_err(|_| "operator is no operator id")?)
                }
                // Of the pay key; `crate::pairs` reads them.
                "pair" | "leg" => {}
                "extension" => read.operator_extension = Some(value.to_owned()),
                "mode" => {
                    read.mode = match value {
                        "attended" => Mode::Attended,
                        "self-service" => Mode::SelfService,
                        "training" => Mode::Training,
                        _ => return Err("mode is attended, self-service or training"),
                    };
                }
                "line" => {
                    read.line = match value {
                        "1" => true,
                        _ => return Err("line is 1 or empty"),
                    };
                }
                "dialled" => {
                    read.dialled = Some(OrderId::new(value).map_err(|_| {
                        "dialled is no order id (64 letters, digits, -_.:/ at most, no card number)"
                    })?);
                }
                "call" => {
                    read.call = Some(value.parse().map_err(|_| "call is no call id")?);
                }
                "type" => {
                    let transaction = Transaction::from_name(value)
                        .ok_or("type is charge, authorize, tokenize or verify")?;
                    read.transaction = Some(transaction);
                }
                _ => {
                    return Err(
                        "an argument is not known; known are tenant, payment, order, part, amount, currency, language, operator, extension, mode, line, dialled, call, type",
                    );
                }
            }
        }
        Ok(read)
    }

    /// Takes the operator's extension where none is named.
    pub(crate) fn or_extension(&mut self, extension: Option<&str>) {
        if self.operator_extension.is_none() {
            self.operator_extension = extension.map(str::to_owned);
        }
    }

    /// The amount in the tenant's currency where none was named.
    ///
    /// # Errors
    /// In words for an admin.
    pub(crate) fn money(&self, default: Currency) -> Result<Option<Money>, &'static str> {
        self.amount
            .as_deref()
            .map(|amount| Money::parse(amount, self.currency.unwrap_or(default)))
            .transpose()
            .map_err(|_| "amount is no whole number of minor units from 1 to 99,999,999")
    }

    /// What begins with the call where nothing was announced: a payment of that amount, or a card to be stored or checked. `usual` is the
    /// tenant's.
    ///
    /// # Errors
    /// In words for an admin.
    pub(crate) fn begins(
        &self,
        currency: Currency,
        usual: Transaction,
    ) -> Result<Option<(Transaction, Money)>, &'static str> {
        let transaction = self.transaction.unwrap_or(usual);
        match (transaction.moves_money(), self.money(currency)?) {
            (true, amount) => Ok(amount.map(|amount| (transaction, amount))),
            (false, Some(_)) => {
                Err("amount is for a payment: a card that is stored or checked (type) has none")
            }
            (false, None) => {
                let currency = self.currency.unwrap_or(currency);
                Ok(Some((transaction, Transaction::nominal(currency))))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Arguments, &'static str> {
        Arguments::parse(&text.split(',').map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn arguments_of_the_dialplan() {
        let read =
            parse("tenant=demo,order=A-1,amount=1200,currency=JPY,mode=self-service,language=en")
                .unwrap();
        assert_eq!(read.tenant.as_deref(), Some("demo"));
        assert_eq!(
            read.money(Currency::Usd).unwrap().unwrap().to_string(),
            "1200 JPY"
        );
        assert_eq!(read.mode, Mode::SelfService);
        assert_eq!(parse("tenant=demo,order=,amount=").unwrap().amount, None);
        let line =
            parse("tenant=demo,mode=self-service,pair=,leg=customer,line=1,dialled=0012,call=")
                .unwrap();
        let dialled = line.dialled.as_ref().map(OrderId::as_str);
        assert_eq!((line.line, dialled, line.call), (true, Some("0012"), None));
        // As `ivrpay-pay` has them on every call.
        assert!(parse("tenant=demo,amount=1200,pair=,leg=customer").is_ok());
    }

    #[test]
    fn bad_arguments_are_named_without_their_value() {
        for bad in [
            "demo",
            "order=a b",
            "currency=XXX",
            "mode=x",
            "colour=red",
            "payment=1",
            "line=yes",
            "type=refund",
            "call=1",
            "dialled=4111111111111111",
            "order=4111111111111111",
        ] {
            let why = parse(bad).unwrap_err();
            assert!(!why.contains("4111"), "{why}");
        }
        assert!(parse("amount=-1").unwrap().money(Currency::Jpy).is_err());
        assert!(parse("amount=1.5").unwrap().money(Currency::Jpy).is_err());
    }

    #[test]
    fn what_begins_with_a_call() {
        let begins = |text: &str, usual| parse(text).unwrap().begins(Currency::Jpy, usual);
        let yen = |minor| Money::new(minor, Currency::Jpy).unwrap();
        for (text, usual, expected) in [
            ("tenant=demo", Transaction::Charge, None),
            (
                "amount=1200",
                Transaction::Charge,
                Some((Transaction::Charge, yen(1200))),
            ),
            (
                "amount=1200",
                Transaction::Authorise,
                Some((Transaction::Authorise, yen(1200))),
            ),
            (
                "amount=1200,type=charge",
                Transaction::Authorise,
                Some((Transaction::Charge, yen(1200))),
            ),
            (
                "type=tokenize",
                Transaction::Charge,
                Some((Transaction::Tokenise, yen(1))),
            ),
        ] {
            assert_eq!(begins(text, usual), Ok(expected), "{text}");
        }
        // An amount that nobody would be charged is a mistake.
        assert!(begins("amount=1200,type=verify", Transaction::Charge).is_err());
    }
}

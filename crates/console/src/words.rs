//! What the pages say, in Japanese and English, each text once beside the other.

use serde::{Deserialize, Serialize};

/// A language of the pages.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Lang {
    /// English.
    En,
    /// Japanese.
    #[default]
    Ja,
}

impl Lang {
    /// `ja` or `en`.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::En => "en",
            Self::Ja => "ja",
        }
    }

    /// By its code; `ja-JP` is Japanese too.
    #[must_use]
    pub fn from_code(code: &str) -> Option<Self> {
        match code.get(..2) {
            Some("ja") => Some(Self::Ja),
            Some("en") => Some(Self::En),
            _ => None,
        }
    }

    pub(crate) const fn of(self, pair: (&'static str, &'static str)) -> &'static str {
        match self {
            Self::Ja => pair.0,
            Self::En => pair.1,
        }
    }

    pub(crate) const fn words(self) -> &'static Words {
        match self {
            Self::Ja => &JA,
            Self::En => &EN,
        }
    }
}

macro_rules! words {
    ($($name:ident: $ja:literal, $en:literal;)*) => {
        /// The texts of one language.
        pub(crate) struct Words {
            $(pub(crate) $name: &'static str,)*
        }

        static JA: Words = Words { $($name: $ja,)* };
        static EN: Words = Words { $($name: $en,)* };

        #[cfg(test)]
        const ALL: &[(&str, &str, &str)] = &[$((stringify!($name), $ja, $en),)*];
    };
}

words! {
    // The frame of every page.
    skip: "本文へ移動", "Skip to content";
    pages: "ページ", "Pages";
    my_call: "マイコール", "My call";
    wall: "ライブ", "Live";
    payments: "決済", "Payments";
    tasks: "タスク", "Tasks";
    approvals: "承認", "Approvals";
    health: "状態", "Health";
    people: "ユーザー", "People";
    sign_out: "サインアウト", "Sign out";
    other_language: "English", "日本語";
    keys: "キー操作", "Keyboard";
    help_title: "キーボードで操作する", "Using the keyboard";
    help_on: "文字キーの操作を使う", "Use single-letter keys";
    help_close: "閉じる", "Close";
    key_help: "この一覧", "This list";
    key_search: "検索欄へ", "To the search";
    key_call: "マイコールへ", "To my call";
    key_wall: "ライブへ", "To the live wall";
    key_payments: "決済へ", "To payments";
    key_tasks: "タスクへ", "To tasks";
    key_ask: "この項目をもう一度たずねる", "Ask this field again";
    key_pause: "一時停止・再開", "Pause or resume";
    key_cancel: "中止", "Cancel";
    key_start: "開始の入力へ", "To the start form";
    no_script: "この画面は JavaScript を使います。", "This page needs JavaScript.";
    done: "完了しました。", "Done.";
    back: "戻る", "Back";
    next_page: "次のページ", "Next page";
    unknown_page: "このページはありません。", "There is no such page.";
    error_title: "エラー", "Error";
    what_to_do: "対処", "What to do";
    one_moment: "少しお待ちください…", "One moment…";
    go_on: "続ける", "Continue";

    // Sign-in.
    sign_in: "サインイン", "Sign in";
    sign_in_lead: "電話で、カード番号を見ずに、決済する。", "Card payments by telephone, and nobody sees the card.";
    person: "ユーザー名", "Name";
    password: "パスワード", "Password";
    code: "確認コード", "One-time code";
    code_hint: "認証アプリに表示される 6 桁の数字", "The six digits that your authenticator shows";
    sign_in_oidc: "シングルサインオンで続ける", "Continue with single sign-on";
    sign_in_failed: "ユーザー名、パスワード、または確認コードが違います。", "Name, password or code is wrong.";
    locked: "試行回数が多すぎます。しばらく待つか、管理者に連絡してください。", "Too many tries. Wait a while, or ask your admin.";
    code_wanted: "確認コードを入力してください。", "Enter your one-time code.";
    expired: "しばらく操作がなかったので、もう一度サインインしてください。", "You were away for a while: please sign in again.";
    stale_form: "画面が古くなっていました。もう一度お試しください。", "That page was too old. Please try again.";
    enter_both: "ユーザー名とパスワードを入力してください。", "Enter your name and your password.";

    // My call.
    waiting: "通話を待っています", "Waiting for a call";
    waiting_lead: "お客様が支払いに入ると、この画面に進み具合が表示されます。", "When your customer begins to pay, this page follows.";
    not_connected: "決済サービスと、つながっていません。つながると自動で続きます。", "Not connected to the payment service. It goes on by itself.";
    extension: "内線", "Extension";
    no_extension: "内線番号がわかりません。下に入力してください。", "Your extension is not known. Enter it below.";
    watch_extension: "この内線を表示", "Follow this extension";
    order: "注文番号", "Order";
    amount: "金額", "Amount";
    currency: "通貨", "Currency";
    step: "ステップ", "Step";
    digits: "桁数", "Digits";
    digits_unit: "桁", "digits";
    attempt: "回目", "Attempt";
    seconds_left: "残り時間", "Time left";
    seconds_unit: "秒", "s";
    card: "カード", "Card";
    operator: "担当者", "Operator";
    mode: "方式", "Mode";
    mode_hold: "保留", "Hold";
    mode_stay: "案内", "Stay";
    entered: "入力済み", "entered";
    entering: "入力中", "being entered";
    state_done: "済み", "done";
    state_now: "いま", "now";
    state_todo: "これから", "to come";
    ask_again: "この項目をもう一度", "Ask this again";
    pause: "一時停止", "Pause";
    resume: "再開", "Resume";
    to_stay: "案内に切り替え", "Stay on the line";
    to_hold: "保留に切り替え", "Wait apart";
    cancel: "中止", "Cancel";
    cancel_sure: "中止しますか? 請求は行われません。", "Cancel it? Nothing will be charged.";
    yes_cancel: "中止する", "Yes, cancel";
    keep_going: "続ける", "Keep going";
    start_title: "支払いを始める", "Start a payment";
    start_lead: "お客様との通話中に、金額と注文番号を入れて始めます。電話機の *9 と同じです。", "While you talk with the customer: amount and order, then start. The same as *9 on your telephone.";
    start: "開始", "Start";
    paid_anyway: "お支払いは完了しています", "It is paid";
    keys_silent: "お客様のボタンの音が届いていません。", "No key of the customer has come.";
    operator_keys: "担当者がカードを入力しています。", "The operator keys the card.";
    open_payment: "決済を開く", "Open the payment";
    asked_again: "もう一度おたずねします。", "It is being asked again.";
    paused_now: "一時停止しました。お客様と話せます。", "Paused: you can talk with the customer.";
    resumed_now: "再開しました。", "It goes on.";
    cancelled_now: "中止しました。請求は行われていません。", "Cancelled. Nothing was charged.";
    switched_now: "切り替えました。", "Switched.";
    started_now: "お客様に支払いの案内を始めました。", "The customer is being asked for the payment.";

    // The live wall.
    calls_now: "通話中", "Calls now";
    captures: "支払い中の通話", "Payments on the line";
    began: "開始", "Began";
    places: "回線", "Places";
    ended_lately: "最近の結果", "Lately ended";
    result: "結果", "Result";
    unknowns: "結果不明", "Unknown outcomes";
    age: "経過", "Age";
    no_calls: "支払い中の通話はありません。", "No payment is on the line.";
    no_unknowns: "結果不明の決済はありません。", "No outcome is unknown.";
    no_ended: "まだありません。", "None yet.";
    failures: "失敗", "Failures";

    // Payments.
    search: "検索", "Search";
    phone: "電話番号", "Phone";
    last4: "カード下 4 桁", "Last four";
    approval_number: "承認番号", "Approval number";
    from_day: "開始日", "From";
    to_day: "終了日", "To";
    state: "状態", "State";
    any_state: "すべて", "Any";
    created: "作成", "Created";
    updated: "更新", "Changed";
    no_payments: "条件に合う決済はありません。", "No payment matches.";
    payment: "決済", "Payment";
    details: "内容", "Details";
    kind: "種類", "Kind";
    plan: "支払方法", "Plan";
    captured: "売上済み", "Captured";
    reserved: "仮売上", "Reserved";
    refunded: "返金済み", "Refunded";
    reference: "受付番号", "Reference";
    acquirer_reference: "カード会社の番号", "Acquirer's reference";
    connector: "接続先", "Connector";
    site: "拠点", "Site";
    description: "内容", "Description";
    parameters: "連携データ", "Parameters";
    test_mode: "テスト", "test";
    decline: "断られた理由", "Why it was declined";
    story: "経過", "Story";
    when: "日時", "When";
    what: "できごと", "What";
    story_away: "経過は、いま見られません。", "The story can't be shown now.";
    parts: "分割された注文", "Parts of the order";
    part: "回", "Part";
    do_capture: "売上を確定する", "Capture";
    do_void: "取り消す", "Void";
    do_refund: "返金する", "Refund";
    do_cancel: "支払い待ちを取り消す", "Cancel the waiting payment";
    do_inquire: "カード会社に照会する", "Ask the acquirer";
    reason: "理由", "Reason";
    amount_all: "空欄なら全額", "All of it when empty";
    confirm_money: "内容を確認しました", "I have checked this";
    warn_capture: "カード会社に、売上の確定を送ります。", "The acquirer is told to take the money.";
    warn_void: "カード会社に、取り消しを送ります。元には戻せません。", "The acquirer is told to release it. This can't be undone.";
    warn_refund: "カード会社に、返金を送ります。元には戻せません。", "The acquirer is told to give it back. This can't be undone.";
    money_done: "カード会社が受け付けました。", "The acquirer has done it.";
    money_declined: "カード会社に断られました。", "The acquirer has refused it.";
    money_not_done: "行われませんでした。決済は元のままです。", "It was not done; the payment is as it was.";
    money_unknown: "結果が不明です。もう一度行わず、照会してください。", "The outcome is not known. Do not repeat it: ask the acquirer.";
    money_waits: "もう一人の承認を待っています。", "It waits for a second person's approval.";
    inquired: "照会しました。", "The acquirer was asked.";
    unknown_warning: "結果が不明です。請求されている可能性があります。再決済はしないでください。", "The outcome is not known. It may have been charged: do not charge again.";
    receipts: "領収書", "Receipts";
    receipt: "領収書", "Receipt";
    receipt_return: "返還", "Return";
    issue_receipt: "領収書を発行する", "Issue a receipt";
    addressee: "宛名", "Addressee";
    download: "ダウンロード", "Download";
    receipt_issued: "領収書を発行しました。", "The receipt was issued.";
    evidence: "証跡", "Evidence";
    do_dispute: "チャージバックを記録する", "Record a dispute";
    end_dispute: "チャージバックを終える", "End the dispute";
    disputed_now: "チャージバックとして記録しました。返金はできなくなります。", "Recorded as disputed; it can't be refunded.";
    dispute_ended: "チャージバックを終えました。", "The dispute is over.";
    disputed: "チャージバック中", "disputed";
    outcome: "結果", "Outcome";
    outcome_won: "認められた", "won";
    outcome_lost: "負けた", "lost";

    // Tasks.
    due: "期限", "Due";
    overdue: "期限切れ", "overdue";
    owner: "担当", "Owner";
    taken_by: "対応中", "Taken by";
    take: "対応する", "Take";
    finish: "完了する", "Close";
    note: "メモ", "Note";
    found: "カード会社での結果", "What the acquirer says";
    found_charged: "請求されていた", "charged";
    found_not: "請求されていない", "not charged";
    open_tasks: "未完了", "To do";
    done_tasks: "完了", "Done";
    no_tasks: "タスクはありません。", "Nothing to do.";
    task_taken: "担当になりました。", "It is yours now.";
    task_done: "完了にしました。", "Closed.";

    // Approvals.
    no_approvals: "承認を待つものはありません。", "Nothing waits for approval.";
    approve: "承認", "Approve";
    refuse: "却下", "Refuse";
    approved_now: "承認しました。", "Approved.";
    refused_now: "却下しました。", "Refused.";
    asked_by: "申請者", "Asked by";

    // Health.
    health_lead: "ivrpay check と audit の結果です。", "What ivrpay check and audit say.";
    checked_at: "確認日時", "Checked at";
    service: "サービス", "Service";
    all_well: "問題は見つかりませんでした。", "Nothing was found.";

    // People.
    name: "名前", "Name";
    role: "役割", "Role";
    last_use: "最終利用", "Last used";
    api_keys: "API キー", "API keys";
    scopes: "権限", "Scopes";
    expires: "有効期限", "Expires";
    no_people: "ユーザーはいません。", "Nobody.";
    people_lead: "追加や変更は ivrpay person と ivrpay key で行います。", "They are added and changed with `ivrpay person` and `ivrpay key`.";
    second_factor: "二要素認証", "Second factor";
    disabled: "停止中", "disabled";
    locked_until: "ロック中:", "locked until";
}

/// Rows of a closed set of words of the API, by their name.
type Table = &'static [(&'static str, &'static str, &'static str)];

/// In words; a name that is not in the table stands for itself.
fn look(table: Table, name: &str, lang: Lang) -> &str {
    let found = table.iter().find(|(known, ..)| *known == name);
    found.map_or(name, |(_, ja, en)| lang.of((ja, en)))
}

macro_rules! tables {
    ($($(#[$doc:meta])* $name:ident $table:ident = [$(($key:literal, $ja:literal, $en:literal),)*];)*) => {$(
        const $table: Table = &[$(($key, $ja, $en),)*];

        $(#[$doc])*
        pub(crate) fn $name(name: &str, lang: Lang) -> &str {
            look($table, name, lang)
        }
    )*

        #[cfg(test)]
        const TABLES: &[(&str, Table)] = &[$((stringify!($name), $table),)*];
    };
}

tables! {
    /// A step of a call.
    step STEPS = [
        ("greeting", "ご案内", "Greeting"),
        ("payment-amount", "金額の確認", "Amount"),
        ("stored-card", "登録済みカード", "Stored card"),
        ("payment-card-number", "カード番号", "Card number"),
        ("expiration-date", "有効期限", "Expiry"),
        ("expiration-date-past", "有効期限切れの確認", "Expired card"),
        ("security-code", "セキュリティコード", "Security code"),
        ("payment-plan", "支払方法", "Plan"),
        ("payment-plan-count", "支払回数", "Instalments"),
        ("payment-plan-confirmation", "支払方法の確認", "Plan, confirmed"),
        ("confirmation", "最終確認", "Confirmation"),
        ("payment-processing", "カード会社に照会中", "Asking the acquirer"),
        ("card-declined", "カード、使えません", "Card declined"),
        ("paused", "一時停止中", "Paused"),
        ("payment-completed", "お支払い完了", "Paid"),
        ("payment-failed", "お支払いできませんでした", "Not paid"),
        ("language", "言語の選択", "Language"),
        ("order", "注文番号の入力", "Order number"),
        ("confirm", "注文番号の確認", "Order, confirmed"),
        ("desk-amount", "担当者: 金額", "Operator: amount"),
        ("desk-order", "担当者: 注文番号", "Operator: order"),
        ("desk-plan", "担当者: 支払方法", "Operator: plan"),
        ("desk-language", "担当者: 言語", "Operator: language"),
        ("desk-confirm", "担当者: 確認", "Operator: confirmation"),
        ("desk-ready", "転送できます", "Ready to transfer"),
        ("desk-refused", "受け付けられません", "Refused"),
    ];
    /// What was wrong with the last attempt.
    wrong WRONGS = [
        ("card-declined", "カードが断られました。", "The card was declined."),
        ("duplicate-tone-suspected", "ボタンの音が重なりました。ゆっくり押していただいてください。", "Keys came twice: let the customer press more slowly."),
        ("input-timeout", "時間内に入力がありませんでした。", "Nothing was keyed in time."),
        ("invalid-amount", "金額が違います。", "The amount is wrong."),
        ("invalid-card-number", "カード番号が正しくありません。", "The card number is not right."),
        ("invalid-card-type", "当店で使えないカードです。", "This shop does not take this card."),
        ("invalid-date", "有効期限が正しくありません。", "The expiry is not right."),
        ("invalid-payment-plan", "選べない支払方法です。", "This plan is not offered."),
        ("invalid-security-code", "セキュリティコードの桁数が違います。", "The security code has another length."),
        ("keys-not-heard", "ボタンの音が届いていません。", "No key has come."),
    ];
    /// How a call ended.
    result RESULTS = [
        ("success", "お支払いが完了しました", "Paid"),
        ("agent-cancelled", "中止しました。お支払いは、まだです", "Cancelled, not paid"),
        ("amount-rejected", "お客様が、金額が違うと答えました。お支払いは、まだです", "The customer says that the amount is wrong; not paid"),
        ("caller-hung-up", "お客様が電話を切りました", "The customer hung up"),
        ("caller-interrupted-with-star", "お客様がお呼びです。お支払いは、まだです", "The customer asks for you; not paid"),
        ("capacity-exceeded", "決済の回線が空いていません", "No place was free"),
        ("internal-error", "システムの異常です", "Something went wrong on our side"),
        ("lookup-failed", "注文を確認できませんでした", "The order could not be looked up"),
        ("no-key", "ボタンが押されませんでした", "No key was pressed"),
        ("operator-wanted", "お客様が担当者を希望しています", "The customer wants to talk to a person"),
        ("order-already-paid", "この注文は支払い済みです", "The order is paid already"),
        ("order-not-found", "注文が見つかりません", "No such order"),
        ("outcome-unknown", "結果を確認中です。再決済はしないでください", "The outcome is not known: do not charge again"),
        ("payment-connector-error", "カード、使えません", "The card could not be used"),
        ("session-timeout", "時間切れです。お支払いは、まだです", "Out of time; not paid"),
        ("too-many-failed-attempts", "ご入力ができませんでした。お支払いは、まだです", "It could not be keyed; not paid"),
        ("validation-error", "設定の誤りで、始められませんでした", "It could not begin: the settings are wrong"),
        ("busy", "話し中でした", "Busy"),
        ("no-answer", "応答がありませんでした", "No answer"),
        ("unreachable", "つながりませんでした", "Unreachable"),
        ("operator-no-answer", "担当者が応答しませんでした", "The operator did not answer"),
        ("talked", "通話しました", "Talked"),
    ];
    /// Where a payment stands.
    state STATES = [
        ("waiting", "支払い待ち", "Waiting"),
        ("in-flight", "処理中", "In flight"),
        ("unknown", "結果不明", "Unknown"),
        ("approved", "承認", "Approved"),
        ("declined", "拒否", "Declined"),
        ("cancelled", "取り消し", "Cancelled"),
        ("expired", "期限切れ", "Expired"),
        ("voided", "取り消し済み", "Voided"),
    ];
    /// What a card is for.
    transaction TRANSACTIONS = [
        ("charge", "即時売上", "Charge"),
        ("authorize", "仮売上", "Authorisation"),
        ("tokenize", "カードの登録", "Card stored"),
        ("verify", "有効性確認", "Card checked"),
    ];
    /// How it is paid back.
    plan PLANS = [
        ("lump_sum", "一括", "One payment"),
        ("installments", "分割", "Instalments"),
        ("bonus", "ボーナス一括", "Bonus"),
        ("bonus_installments", "ボーナス分割", "Bonus instalments"),
        ("revolving", "リボ", "Revolving"),
    ];
    /// A kind of task.
    task TASKS = [
        ("unknown-outcome", "結果不明の確認", "Unknown outcome"),
        ("acquirer-contradicts", "カード会社との食い違い", "The acquirer says otherwise"),
        ("approved-caller-gone", "承認をお伝えする", "Tell the customer: approved"),
        ("expiring-authorization", "仮売上の期限", "Authorisation lapses"),
        ("promised-call-back", "折り返しの電話", "Promised call back"),
        ("unfinished-split", "分割払いの残り", "Split not finished"),
        ("quarantined-recording", "録音の処理", "Recording with a card"),
    ];
    /// Roles of people.
    role_name ROLES = [
        ("operator", "オペレーター", "Operator"),
        ("supervisor", "スーパーバイザー", "Supervisor"),
        ("admin", "管理者", "Admin"),
    ];
    /// Severity of a finding.
    severity SEVERITIES = [
        ("ok", "正常", "OK"),
        ("note", "お知らせ", "Note"),
        ("warning", "注意", "Warning"),
        ("danger", "危険", "Danger"),
    ];
    /// What was asked of an acquirer, or of a second person.
    operation OPERATIONS = [
        ("authorize", "仮売上", "Authorisation"),
        ("capture", "売上確定", "Capture"),
        ("change", "金額変更", "Change of the amount"),
        ("charge", "売上", "Charge"),
        ("refund", "返金", "Refund"),
        ("void", "取り消し", "Void"),
    ];
    /// What happened to a payment.
    story STORIES = [
        ("created", "登録", "Announced"),
        ("assigned", "担当の変更", "Given to another"),
        ("called", "通話", "Call"),
        ("call-ended", "通話の終わり", "Call ended"),
        ("claimed", "支払い開始", "Payment began"),
        ("spoken", "案内", "Spoken"),
        ("pressed", "ボタン", "Pressed"),
        ("asked", "カード会社へ", "Asked"),
        ("progress", "途中経過", "Progress"),
        ("failed-over", "接続先の切り替え", "Another connector"),
        ("answered", "カード会社から", "Answered"),
        ("settled", "確定", "Settled"),
        ("closed", "終了", "Closed"),
        ("expired", "期限切れ", "Expired"),
        ("contradicted", "食い違い", "Contradicted"),
        ("task-made", "タスク作成", "Task made"),
        ("task-taken", "タスク担当", "Task taken"),
        ("task-done", "タスク完了", "Task closed"),
        ("event", "通知", "Event"),
        ("event-delivered", "通知済み", "Event delivered"),
        ("event-given-up", "通知できず", "Event given up"),
        ("receipt-issued", "領収書の発行", "Receipt issued"),
        ("disputed", "チャージバック", "Disputed"),
        ("dispute-ended", "チャージバック終了", "Dispute ended"),
        ("removed", "保存期限により削除", "Removed, its term was over"),
    ];
    /// What an error of the API means.
    problem PROBLEMS = [
        ("call-exists", "このお客様には、すでに電話をかけています。", "The customer is being called already."),
        ("capacity-exceeded", "決済の回線が空いていません。何も変わっていません。", "No place is free for another call. Nothing was changed."),
        ("charge-sent", "カード会社に送信済みです。", "The charge has been sent."),
        ("forbidden", "この操作の権限がありません。", "You may not do this."),
        ("idempotency-reused", "画面が古くなっていました。", "That page was too old."),
        ("in-flight", "前の操作を処理中です。", "The same request is not answered yet."),
        ("internal", "サービス側で問題が起きました。", "Something is wrong on the service's side."),
        ("invalid-request", "入力内容が正しくありません。", "The request is wrong."),
        ("not-found", "見つかりません。", "There is no such thing."),
        ("not-in-call", "いま、支払い中の通話がありません。", "No call takes the payment now."),
        ("not-possible", "いまの状態では、できません。", "The state of things does not allow it."),
        ("not-waiting", "支払い待ちの状態ではありません。", "The payment does not wait."),
        ("order-taken", "この注文には、すでに決済があります。", "The order has a payment already."),
        ("rate-limited", "操作が多すぎます。", "Too many requests."),
        ("task-done", "このタスクは完了しています。", "The task is done already."),
        ("task-exists", "同じタスクが、すでにあります。", "There is such a task already."),
        ("task-taken", "ほかの人が対応しています。", "Another person is at the task."),
        ("too-early", "まだ、請求されていないとは言えません。", "Nobody can say yet that nothing was charged."),
        ("too-many-calls", "同時にかけられる電話の数に達しています。", "As many customers are being called as may be at once."),
        ("unauthorized", "サインインの期限が切れました。", "You are signed in no more."),
        ("unavailable", "いま、サービスが受け付けられません。", "The service can't take this now."),
        ("away", "決済サービスに、つながりません。", "The payment service can't be reached."),
        ("code-required", "確認コードが必要です。", "The second factor is asked for."),
        ("key-expired", "キーの期限が切れています。", "The key has expired."),
        ("locked", "しばらくサインインできません。", "Nobody may try to sign in for a while."),
        ("second-factor-missing", "二要素認証が設定されていません。", "There is no second factor."),
        ("session-ended", "サインインの期限が切れました。", "The session is over."),
        ("sign-in-failed", "ユーザー名、パスワード、または確認コードが違います。", "Name, password or code is wrong."),
        ("acquirer-away", "カード会社と、つながりません。", "The acquirer can't be asked now."),
        ("capture-running", "すでに、お支払いの手続き中です。", "The talk is in a capture already."),
        ("no-talk", "お客様と、つながっていません。", "There is no talk of two in which a payment could be taken."),
        ("not-safe", "安全が確認できません。カードの入力は始めていません。", "Card data would not be safe now."),
        ("odd", "決済サービスの答えを読めません。", "The payment service's answer can't be read."),
        ("bad-amount", "金額が正しくありません。", "That is no amount."),
        ("bad-day", "日付が正しくありません。", "That is no day."),
        ("unconfirmed", "内容を確認して、チェックを入れてください。", "Check it, and tick the box."),
        ("no-reason", "理由を入力してください。", "Give a reason."),
    ];
    /// What to do about it.
    remedy REMEDIES = [
        ("call-exists", "その通話を確認してください。", "Follow that call."),
        ("capacity-exceeded", "ほかの通話が終わってから、もう一度お試しください。", "Try again when a call is over."),
        ("charge-sent", "結果を待つか、決済を確認してください。再決済はしないでください。", "Wait for its answer, or look at the payment. Do not charge again."),
        ("forbidden", "権限のある人に頼んでください。", "Ask somebody who may."),
        ("idempotency-reused", "画面を読み込み直してから、操作してください。", "Load the page anew, and do it again."),
        ("in-flight", "少し待って、決済を確認してください。", "Wait a moment, then look at the payment."),
        ("internal", "決済を確認してから、管理者に連絡してください。", "Look at the payment, and tell your admin."),
        ("invalid-request", "入力を直して、もう一度お試しください。", "Change it, and try again."),
        ("not-found", "番号を確認してください。", "Look at the number."),
        ("not-in-call", "決済を確認してください。", "Look at the payment."),
        ("not-possible", "決済の状態を確認してください。", "Look at where the payment stands."),
        ("not-waiting", "決済を確認してください。", "Look at the payment."),
        ("order-taken", "その決済を確認してください。", "Look at that payment."),
        ("rate-limited", "少し待って、もう一度お試しください。", "Wait a moment, and try again."),
        ("task-done", "内容を確認してください。", "Look at what it says."),
        ("task-exists", "先に、そのタスクを完了してください。", "Close that one first."),
        ("task-taken", "その人に確認してください。", "Ask them."),
        ("too-early", "時間をおいて、もう一度お試しください。", "Try again later."),
        ("too-many-calls", "ほかの電話が終わってから、もう一度お試しください。", "Try again when one is over."),
        ("unauthorized", "もう一度サインインしてください。", "Sign in again."),
        ("unavailable", "少し待って、もう一度お試しください。二重には行われません。", "Try again after a moment; nothing is done twice."),
        ("away", "少し待って、もう一度お試しください。続くときは、管理者に連絡してください。", "Try again after a moment; tell your admin if it stays so."),
        ("code-required", "確認コードを入力してください。", "Enter the code too."),
        ("key-expired", "新しいキーを作ってください。", "Have another made."),
        ("locked", "しばらく待つか、管理者に連絡してください。", "Wait, or ask your admin."),
        ("second-factor-missing", "管理者に、二要素認証の設定を頼んでください。", "Have an admin set one up with you."),
        ("session-ended", "もう一度サインインしてください。", "Sign in again."),
        ("sign-in-failed", "もう一度お試しください。", "Try again."),
        ("acquirer-away", "時間をおいて、もう一度お試しください。請求は行われていません。", "Try again later. Nothing was charged."),
        ("capture-running", "いまの手続きを続けるか、中止してください。", "Follow that one, or cancel it first."),
        ("no-talk", "お客様と二人で話しているときに、始めてください。請求は行われていません。", "Start it while you and the customer talk, the two alone. Nothing was charged."),
        ("not-safe", "管理者に連絡してください。請求は行われていません。", "Tell your admin. Nothing was charged."),
        ("odd", "管理者に連絡してください。コンソールとサービスの版が違うかもしれません。", "Tell your admin: the console and the service may be of different versions."),
        ("bad-amount", "1,200 のように入力してください。", "Write it like 1,200 or 12.00."),
        ("bad-day", "2026-11-27 のように入力してください。", "Write it like 2026-11-27."),
        ("unconfirmed", "", ""),
        ("no-reason", "", ""),
    ];
}

/// One of four advices of a card that was not taken, by what may be done about it ([`ivrpay_payment::Action`]).
pub(crate) fn advice(action: &str, lang: Lang) -> &'static str {
    lang.of(match action {
        "re-enter" => ("番号の確認を", "Check the number"),
        "other-card" | "ask-issuer" | "other-plan" => ("別のカードを", "Another card"),
        "later" => ("時間をおいて、もう一度", "Later again"),
        _ => ("管理者に連絡を", "Call your manager"),
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use ivrpay_api::ErrorCode;
    use ivrpay_payment::{Action, State, Transaction};

    use super::*;

    #[test]
    fn every_text_is_there_in_both_languages() {
        let japanese = |text: &str| text.chars().any(|c| c > '\u{3000}');
        for (name, ja, en) in ALL {
            assert!(!ja.is_empty() && !en.is_empty(), "{name}");
            assert!(
                !japanese(en) || *name == "other_language",
                "{name} in English: {en}"
            );
        }
        for (table, rows) in TABLES {
            let mut names = BTreeSet::new();
            for (name, ja, en) in *rows {
                assert!(names.insert(name), "{table}: {name} stands twice");
                assert_eq!(ja.is_empty(), en.is_empty(), "{table}: {name}");
                assert!(!japanese(en), "{table}: {name} in English: {en}");
            }
        }
    }

    #[test]
    fn every_word_of_the_api_has_words() {
        for code in ErrorCode::ALL.map(ErrorCode::name) {
            assert_ne!(problem(code, Lang::Ja), code);
            assert_ne!(remedy(code, Lang::Ja), code);
        }
        for name in State::ALL.map(State::name) {
            assert_ne!(state(name, Lang::Ja), name);
        }
        for name in Transaction::ALL.map(Transaction::name) {
            assert_ne!(transaction(name, Lang::Ja), name);
        }
        let advices: BTreeSet<_> = Action::ALL
            .map(|action| advice(action.name(), Lang::Ja))
            .into_iter()
            .collect();
        assert_eq!(advices.len(), 4);
        assert_eq!(step("new-step", Lang::Ja), "new-step");
    }
}

//! `txn`: compares, then one of two lists of operations, all at one revision.

use std::io::{self, BufRead};

use clap::{ArgAction, Args};
use quorate_proto::etcdserverpb::TxnRequest;

use super::connect::ConnectArgs;
use super::failure::Failure;
use super::output::{Answer, Style};
use super::txn_script::{parse_compare, parse_operation};

/// More lines than any server takes by default (128 operations a list), few enough to bound memory.
const LINES_MAX: usize = 100_000;

const AFTER_HELP: &str = "\
Three blocks of lines are read, each ended by an empty line: compares, what to do when all hold,
what to do else.

  compare:    TARGET(\"key\") OP \"value\", TARGET one of value, version, create, mod, lease;
                                        OP one of = != < >
  operation:  get, put or del, with the flags that these commands have

Example:
  quorate ctl txn <<'EOF'
  mod(\"name\") > \"0\"
  value(\"name\") = \"old\"

  put name new
  get other

  get name

  EOF";

#[derive(Args, Debug)]
#[command(after_help = AFTER_HELP, args_override_self = true)]
pub(super) struct TxnArgs {
    #[arg(hide = true)]
    arguments: Vec<String>,
    /// Say which block is awaited
    #[arg(short, long, action = ArgAction::Set, num_args = 0..=1, require_equals = true,
        default_value = "false", default_missing_value = "true", hide_default_value = true,
        hide_possible_values = true)]
    interactive: bool,
}

pub(super) async fn run(args: &TxnArgs, connect: &ConnectArgs) -> Result<(), Failure> {
    if !args.arguments.is_empty() {
        return Err(Failure::bad_arguments(
            "txn command does not accept argument",
        ));
    }
    let format = connect.format()?;
    format.refuse_table()?;
    let request = read_request(&mut io::stdin().lock(), args.interactive)?;
    let response = connect.client()?.txn(request).await?;
    let style = Style {
        hex: connect.hex,
        value_only: false,
    };
    super::print(&Answer::Txn(response).render(format, style))
}

fn read_request(input: &mut dyn BufRead, interactive: bool) -> Result<TxnRequest, Failure> {
    let operations = "requests (get, put, del)";
    Ok(TxnRequest {
        compare: read_block(input, interactive, "compares", parse_compare)?,
        success: read_block(
            input,
            interactive,
            &format!("success {operations}"),
            parse_operation,
        )?,
        failure: read_block(
            input,
            interactive,
            &format!("failure {operations}"),
            parse_operation,
        )?,
    })
}

/// Lines up to the next empty one. The end of input before that is an error, so that a script cut short does nothing.
fn read_block<T>(
    input: &mut dyn BufRead,
    interactive: bool,
    title: &str,
    parse: impl Fn(&str) -> Result<T, Failure>,
) -> Result<Vec<T>, Failure> {
    if interactive {
        super::print(format!("{title}:\n").as_bytes())?;
    }
    let mut parsed = Vec::new();
    while parsed.len() < LINES_MAX {
        let mut line = String::new();
        input
            .read_line(&mut line)
            .map_err(|error| Failure::invalid_input(error.to_string()))?;
        if !line.ends_with('\n') {
            return Err(Failure::invalid_input("EOF"));
        }
        match line.trim() {
            "" => return Ok(parsed),
            line => parsed.push(parse(line)?),
        }
    }
    Err(Failure::invalid_input(format!(
        "more than {LINES_MAX} lines in one block"
    )))
}

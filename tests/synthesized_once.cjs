// Each Node that a test starts loads this: the CDK CLI then starts an app through `synthesized_once.py`.
// Rejected: CDK_APP, because `sd` takes it out of the person's environment, and a test of that must see it do so.
const childProcess = require("child_process");
const path = require("path");

const { spawn } = childProcess;
const checkout = path.dirname(__dirname);
const program = path.join(__dirname, "synthesized_once.py");

childProcess.spawn = (command, ...others) => {
  const options = others.at(-1);
  if (!options?.shell || !command.endsWith(" app.py")) return spawn(command, ...others);
  // CloudFormation's own rules warn and fail nothing, but loading them takes six of a synthesis' nine seconds. The
  // settings of scripts/audited.json are synthesized with them, in tests/synth.
  const env = { ...process.env, ...options.env, CDK_VALIDATION: "false" };
  return spawn(path.join(checkout, ".venv/bin/python"), ["-IS", program, command], { ...options, env, shell: false });
};

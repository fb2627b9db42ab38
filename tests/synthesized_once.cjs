// Each Node that a test starts loads this: the CDK CLI then starts the checkout's app through `synthesized_once.py`.
// Rejected: CDK_APP, because `sd` takes it out of the person's environment, and a test of that must see it do so.
const childProcess = require("child_process");
const path = require("path");

const { spawn } = childProcess;
const checkout = path.dirname(__dirname);
const program = path.join(__dirname, "synthesized_once.py");

childProcess.spawn = (command, ...others) => {
  const options = others.at(-1);
  const isTheApp = options?.shell && command.endsWith(" python3 app.py") && process.cwd() === checkout;
  if (!isTheApp) return spawn(command, ...others);
  return spawn(path.join(checkout, ".venv/bin/python"), ["-IS", program, command], { ...options, shell: false });
};

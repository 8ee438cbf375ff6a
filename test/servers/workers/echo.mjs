import { serve } from './serve.mjs';

serve({
  echo: (...args) => args,
  pid: () => process.pid,
  env: (name) => process.env[name],
  fail: (message, code) => {
    throw Object.assign(new TypeError(message), { code });
  },
});

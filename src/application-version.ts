import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

/**
 * `version` of the package.json nearest to the working directory, upwards; `undefined` if there is none, or it has no version.
 * @param from default `process.cwd()`
 */
export function applicationVersion(from: string = process.cwd()): string | undefined {
  for (let directory = from; ; directory = dirname(directory)) {
    const text = readText(join(directory, 'package.json'));
    if (text !== undefined) return versionIn(text);
    if (dirname(directory) === directory) return undefined;
  }
}

function readText(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined;
  }
}

function versionIn(text: string): string | undefined {
  try {
    const { version } = JSON.parse(text) as { version?: unknown };
    return typeof version === 'string' && version !== '' ? version : undefined;
  } catch {
    return undefined;
  }
}

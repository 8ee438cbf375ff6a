import { existsSync, lstatSync, readdirSync } from 'node:fs';
import { join } from 'node:path';

/** The temp directory is everybody's: what somebody else put there under our name must not be run. */
export function ownsFolder(folder: string): boolean {
  const stat = lstatSync(folder, { throwIfNoEntry: false });
  // Not userInfo(): a container may run as a user id without a name.
  return stat !== undefined && stat.isDirectory() && stat.uid === (process.getuid?.() ?? -1);
}

/** `usr/lib/<triplet>` and the like, of what was unpacked into `folder`. */
export function unpackedLibraries(folder: string): string[] {
  return ['lib', 'usr/lib']
    .map((name) => join(folder, name))
    .filter((path) => existsSync(path))
    .flatMap((path) => [path, ...readdirSync(path).map((name) => join(path, name))])
    .filter((path) => lstatSync(path).isDirectory());
}

import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { compiledEntry } from '../servers/compiled.entry.js';

const src = fileURLToPath(new URL('../../src/', import.meta.url));
const files = readdirSync(src, { recursive: true, encoding: 'utf8' }).filter((file) => file.endsWith('.ts'));

interface Import {
  readonly from: string;
  /** Path below src without extension, or a package's name. */
  readonly to: string;
  readonly isPackage: boolean;
}

const imports: Import[] = files.flatMap((from) => {
  const text = readFileSync(join(src, from), 'utf8');
  return [
    ...text.matchAll(/^(?:import|export)\b[^;'"]*?\bfrom\s+'([^']+)'|\bimport\('([^']+)'\)|^import '([^']+)'/gm),
  ].map((match) => {
    const target = (match[1] ?? match[2] ?? match[3]) as string;
    return target.startsWith('.')
      ? { from, to: relative(src, resolve(src, dirname(from), target)), isPackage: false }
      : { from, to: target, isPackage: true };
  });
});

function offenders(room: string, isAllowed: (found: Import) => boolean): string[] {
  return imports
    .filter((found) => found.from.startsWith(room) && !isAllowed(found))
    .map(({ from, to }) => `${from} -> ${to}`);
}

describe('the rooms', () => {
  it('sees the imports at all', () => {
    expect(imports.length).toBeGreaterThan(100);
    expect(imports.some(({ to }) => to === '@nestjs/common')).toBe(true);
  });

  it('core imports no Nest, no driver, and of the stores only their contract', () => {
    expect(
      offenders('core/', ({ to, isPackage }) =>
        isPackage ? to.startsWith('node:') : to.startsWith('core/') || to.startsWith('stores/contract/'),
      ),
    ).toEqual([]);
  });

  it('stores know their contract and the leaves of core, not the engine, not Nest, not each other', () => {
    const leaves =
      /^(core\/(errors|clock|random|oldest-keys|own-bytes|tiers\/s3-fifo)|stores\/contract\/|locks\/contract\/)/;
    for (const store of ['stores/memory/', 'stores/memcached/', 'stores/none/', 'stores/redis/']) {
      const drivers = store === 'stores/redis/' ? ['ioredis', 'cache-manager-ioredis-yet'] : [];
      expect(
        offenders(store, ({ to, isPackage }) =>
          isPackage ? to.startsWith('node:') || drivers.includes(to) : leaves.test(to) || to.startsWith(store),
        ),
      ).toEqual([]);
    }
  });

  it('locks know core and their contract, not the stores, not Nest, nor their own face to Nest', () => {
    const engine = offenders('locks/', ({ from, to, isPackage }) => {
      if (from.startsWith('locks/nest/')) return true;
      return isPackage ? to.startsWith('node:') : /^(?:core|locks|sql)\/(?!nest\/)/.test(to);
    });
    expect(engine).toEqual([]);
    const face = offenders('locks/nest/', ({ to, isPackage }) =>
      isPackage
        ? /^(?:node:|@nestjs\/(?:common|core)|rxjs|reflect-metadata)/.test(to)
        : /^(?:core|locks|http\/wire|http\/policy|option-checks|gateway-client|documented-answers)/.test(to),
    );
    expect(face).toEqual([]);
  });

  it('what is shared of SQL knows the errors of core', () => {
    expect(offenders('sql/', ({ to, isPackage }) => !isPackage && /^(?:core\/errors|sql)\//.test(to))).toEqual([]);
  });

  it('invalidation knows core and Nest, not the stores, not how responses and functions are cached; an adapter knows its peer', () => {
    const peers: Record<string, string> = {
      'invalidation/typeorm/': 'typeorm',
      'invalidation/event-emitter/': '@nestjs/event-emitter',
      'invalidation/cqrs/': '@nestjs/cqrs',
    };
    const own =
      /^(?:core|invalidation|option-checks|method-decorator|replace-method|sql\/|http-semantics\/fields\/surrogate-keys)/;
    const foreign = offenders('invalidation/', ({ from, to, isPackage }) => {
      if (isPackage && Object.entries(peers).some(([adapter, peer]) => from.startsWith(adapter) && to === peer))
        return true;
      return isPackage ? /^@nestjs\/common$|^rxjs$|^reflect-metadata$/.test(to) : own.test(to);
    });
    expect(foreign).toEqual([]);
  });

  it('folders are at most two deep', () => {
    expect(files.filter((file) => file.split('/').length > 3)).toEqual([]);
  });

  it('there are no default exports', () => {
    expect(files.filter((file) => /^export default/m.test(readFileSync(join(src, file), 'utf8')))).toEqual([]);
  });

  it('the root entry loads no optional dependency', async () => {
    await compiledEntry();
    const script = `
      import { registerHooks } from 'node:module';
      await import('reflect-metadata');
      const root = await import(${JSON.stringify(new URL('../../dist/index.js', import.meta.url).href)});
      const { createRequire } = await import('node:module');
      const loaded = Object.keys(createRequire(import.meta.url).cache).filter((file) => /node_modules.(ioredis|cache-manager|cache-manager-ioredis-yet|telejson|typeorm|sequelize|@prisma|drizzle-orm|pg)./.test(file));
      if (typeof root.TieredCacheModule !== 'function') throw new Error('the root entry does not export the module');
      console.log(JSON.stringify(loaded));`.replace("import { registerHooks } from 'node:module';", '');
    const printed = execFileSync(process.execPath, ['--input-type=module', '-e', script], {
      cwd: dirname(src),
      encoding: 'utf8',
    });
    expect(JSON.parse(printed)).toEqual([]);
  });
});

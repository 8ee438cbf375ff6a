import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';
import { describe, expect, it } from 'vitest';

const root = fileURLToPath(new URL('../../', import.meta.url));
const readme = readFileSync(`${root}README.md`, 'utf8');
const scripts = Object.keys((JSON.parse(readFileSync(`${root}package.json`, 'utf8')) as { scripts: object }).scripts);

function blocks(language: string): string[] {
  return [...readme.matchAll(new RegExp(`^\`\`\`${language}\\n([\\s\\S]*?)^\`\`\``, 'gm'))].map(
    (match) => match[1] as string,
  );
}

describe('the README', () => {
  it('compiles in all its snippets, against the sources', { timeout: 60_000 }, () => {
    const snippets = new Map(blocks('ts').map((text, i) => [`${root}readme-snippet-${i}.ts`, text]));
    expect(snippets.size).toBeGreaterThanOrEqual(5);
    const { config } = ts.readConfigFile(`${root}tsconfig.json`, ts.sys.readFile) as {
      config: { compilerOptions: object };
    };
    const { options } = ts.convertCompilerOptionsFromJson(
      {
        ...config.compilerOptions,
        paths: {
          'nestjs-tiered-cache': ['./src/index.ts'],
          'nestjs-tiered-cache/redis': ['./src/stores/redis/index.ts'],
          'nestjs-tiered-cache/memcached': ['./src/stores/memcached/index.ts'],
          'nestjs-tiered-cache/fencing': ['./src/locks/fencing/index.ts'],
          'nestjs-tiered-cache/migration': ['./src/http/migration/index.ts'],
          'nestjs-tiered-cache/typeorm': ['./src/invalidation/typeorm/index.ts'],
          'nestjs-tiered-cache/sequelize': ['./src/invalidation/sequelize/index.ts'],
          'nestjs-tiered-cache/prisma': ['./src/invalidation/prisma/index.ts'],
          'nestjs-tiered-cache/drizzle': ['./src/invalidation/drizzle/index.ts'],
          'nestjs-tiered-cache/outbox': ['./src/invalidation/outbox/index.ts'],
          'nestjs-tiered-cache/testing': ['./src/testing/index.ts'],
          'nestjs-tiered-cache/event-emitter': ['./src/invalidation/event-emitter/index.ts'],
          'nestjs-tiered-cache/cqrs': ['./src/invalidation/cqrs/index.ts'],
        },
      },
      root,
    );
    const host = ts.createCompilerHost(options);
    const { fileExists, readFile, getSourceFile } = host;
    host.fileExists = (file) => snippets.has(file) || fileExists(file);
    host.readFile = (file) => snippets.get(file) ?? readFile(file);
    host.getSourceFile = (file, target, ...rest) => {
      const text = snippets.get(file);
      return text === undefined
        ? getSourceFile.call(host, file, target, ...rest)
        : ts.createSourceFile(file, text, target);
    };
    const program = ts.createProgram([...snippets.keys()], options, host);
    const problems = [...snippets.keys()].flatMap((file) => {
      const source = program.getSourceFile(file);
      return [...program.getSyntacticDiagnostics(source), ...program.getSemanticDiagnostics(source)];
    });
    expect(
      problems.map(
        (problem) => `${problem.file?.fileName}: ${ts.flattenDiagnosticMessageText(problem.messageText, ' ')}`,
      ),
    ).toEqual([]);
  });

  it('names only commands that exist', () => {
    const commands = blocks('sh').join('\n');
    expect(commands).toContain('npm ci && npm start');
    expect(commands).toContain('npm ci && npm test');
    for (const [, script] of readme.matchAll(/npm run ([\w:]+)/g)) expect(scripts).toContain(script);
  });

  it('names only test folders that exist', () => {
    for (const [, folder] of readme.matchAll(/`(test\/[a-z]+)`/g))
      expect(ts.sys.directoryExists(root + folder)).toBe(true);
  });
});

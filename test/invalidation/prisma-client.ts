import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, rename, rm, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { withFileLock } from '../servers/file.lock.js';

const CACHE = fileURLToPath(new URL('../../node_modules/.cache/nestjs-tiered-cache/', import.meta.url));
const require = createRequire(import.meta.url);
const { version } = require('prisma/package.json') as { version: string };

const SCHEMA = `
generator client {
  provider = "prisma-client-js"
  output   = "./client"
}
datasource db {
  provider = "postgresql"
}
model Course {
  id        Int       @id @default(autoincrement())
  title     String    @unique
  category  String
  views     Int       @default(0)
  updatedAt DateTime  @default(now()) @map("updated_at")
  deletedAt DateTime? @map("deleted_at")
  lessons   Lesson[]
  @@map("courses")
}
model Lesson {
  id       Int     @id @default(autoincrement())
  name     String
  courseId Int?    @map("course_id")
  course   Course? @relation(fields: [courseId], references: [id], onDelete: Cascade)
  nextId   Int?    @map("next_id")
  next     Lesson? @relation("Order", fields: [nextId], references: [id])
  previous Lesson[] @relation("Order")
  @@map("lessons")
}
model Shelf {
  id    Int    @id
  parts Part[]
}
model Part {
  id      String @id @db.Uuid
  name    String
  shelfId Int?
  shelf   Shelf? @relation(fields: [shelfId], references: [id])
}
`;

/** Generates the client for the tables of `CourseDatabase`, and for parts, which have UUIDs, unless that was done before, and loads it. No network is needed. */
export async function prismaClient<T>(): Promise<T> {
  const folder = join(
    CACHE,
    `prisma-${createHash('sha256').update(version).update(SCHEMA).digest('hex').slice(0, 16)}`,
  );
  await mkdir(CACHE, { recursive: true });
  await withFileLock(join(CACHE, 'prisma.lock'), async () => {
    if (!existsSync(folder)) await generate(folder);
  });
  return require(join(folder, 'client')) as T;
}

/** Aside, and then in one step, so that nobody ever loads half a client. */
async function generate(folder: string): Promise<void> {
  const fresh = `${folder}-${process.pid}`;
  try {
    await mkdir(fresh);
    await writeFile(join(fresh, 'schema.prisma'), SCHEMA);
    const prisma = join(dirname(require.resolve('prisma/package.json')), 'build/index.js');
    const { status, stdout, stderr } = spawnSync(process.execPath, [prisma, 'generate', '--schema', 'schema.prisma'], {
      cwd: fresh,
      encoding: 'utf8',
      env: {
        ...process.env,
        // Generating never runs the schema engine, but it would be downloaded unless one is named.
        PRISMA_SCHEMA_ENGINE_BINARY: process.execPath,
        CHECKPOINT_DISABLE: '1',
      },
    });
    if (status !== 0) throw new Error(`prisma generate failed:\n${stdout}${stderr}`);
    await rename(fresh, folder);
  } finally {
    await rm(fresh, { recursive: true, force: true });
  }
}

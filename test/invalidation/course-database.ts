import pg from 'pg';
import { PostgresServer } from '../servers/postgres.server.js';
import { COURSES, LESSONS } from './shown-entities.js';

const TABLES = `
  CREATE TABLE courses (
    id serial PRIMARY KEY, title text NOT NULL UNIQUE, category text NOT NULL, views integer NOT NULL DEFAULT 0,
    updated_at timestamptz NOT NULL DEFAULT now(), deleted_at timestamptz);
  CREATE TABLE lessons (id serial PRIMARY KEY, name text NOT NULL, course_id integer REFERENCES courses ON DELETE CASCADE,
    next_id integer REFERENCES lessons);
  CREATE TABLE course_extras (course_id integer REFERENCES courses ON DELETE CASCADE, lesson_id integer REFERENCES lessons ON DELETE CASCADE,
    PRIMARY KEY (course_id, lesson_id));
  CREATE FUNCTION rename_course() RETURNS void LANGUAGE sql AS $$ UPDATE courses SET title = 'Renamed' WHERE id = 1 $$;`;

/** Courses and their lessons in a real PostgreSQL, and a connection of which the ORM under test knows nothing. */
export class CourseDatabase {
  private constructor(
    private readonly server: PostgresServer,
    private readonly client: pg.Client,
  ) {}

  static async start(): Promise<CourseDatabase> {
    const server = await PostgresServer.start();
    const client = new pg.Client(server.url);
    // It is ended with its server.
    client.on('error', () => undefined);
    await client.connect();
    await client.query(TABLES);
    return new CourseDatabase(server, client);
  }

  get url(): string {
    return this.server.url;
  }

  async query(sql: string): Promise<void> {
    await this.client.query(sql);
  }

  async reset(): Promise<void> {
    await this.client.query('TRUNCATE courses, lessons, course_extras RESTART IDENTITY');
    for (const { title, category } of COURSES)
      await this.client.query('INSERT INTO courses (title, category) VALUES ($1, $2)', [title, category]);
    for (const { name, courseId } of LESSONS)
      await this.client.query('INSERT INTO lessons (name, course_id) VALUES ($1, $2)', [name, courseId]);
  }

  /** All that is committed. */
  async rows(): Promise<unknown[]> {
    const tables = ['courses', 'lessons', 'course_extras'].map((table) =>
      this.client.query(`SELECT * FROM ${table} ORDER BY 1, 2`),
    );
    return (await Promise.all(tables)).flatMap(({ rows }) => rows);
  }

  async stop(): Promise<void> {
    await this.client.end();
    await this.server.stop();
  }
}

import { Injectable, NotFoundException } from '@nestjs/common';
import { InjectRepository } from '@nestjs/typeorm';
import { entityTags } from 'nestjs-tiered-cache';
import { ILike, type Repository } from 'typeorm';
import type { CourseFilter, CourseQuery } from './course-query.js';
import { Course, CourseLists } from './course.entity.js';

const PER_PAGE = 10;

export interface CoursePage {
  readonly filter: CourseFilter;
  readonly search: string;
  readonly page: number;
  readonly total: number;
  readonly courses: readonly Course[];
  /** When the database was asked. */
  readonly asOf: string;
}

/** The tags of a page of a list. Nobody can say which rows a search would find next, so it goes with every change. */
export function tagsOfPage({ filter, search, courses }: CoursePage): string[] {
  if (search !== '') return entityTags('Course');
  return CourseLists.listTags({ ids: courses.map(({ id }) => id), where: { ...filter } });
}

/** Knows nothing of the cache: what it saves is heard. */
@Injectable()
export class Courses {
  constructor(@InjectRepository(Course) private readonly courses: Repository<Course>) {}

  async list({ filter, search, page }: CourseQuery): Promise<CoursePage> {
    const asOf = new Date().toISOString();
    const [courses, total] = await this.courses.findAndCount({
      where: { ...filter, ...(search !== '' && { title: ILike(`%${search.replace(/[\\%_]/g, '\\$&')}%`) }) },
      order: { title: 'ASC', id: 'ASC' },
      skip: (page - 1) * PER_PAGE,
      take: PER_PAGE,
    });
    return { filter, search, page, total, courses, asOf };
  }

  async one(id: number): Promise<Course & { asOf: string }> {
    return { ...(await this.find(id)), asOf: new Date().toISOString() };
  }

  async add(course: Omit<Course, 'id'>): Promise<Course> {
    return this.courses.save({ ...course });
  }

  async edit(id: number, changes: Partial<Course>): Promise<Course> {
    return this.courses.save(this.courses.merge(await this.find(id), changes, { id }));
  }

  async remove(id: number): Promise<void> {
    await this.courses.remove(await this.find(id));
  }

  private async find(id: number): Promise<Course> {
    const course = await this.courses.findOneBy({ id });
    if (!course) throw new NotFoundException(`there is no course ${id}`);
    return course;
  }
}

import { Body, Controller, Delete, Get, Param, ParseIntPipe, Patch, Post, Query, UseGuards } from '@nestjs/common';
import { byParams, byQuery, byRoute, CachePage, entityTags, type PageAnswer } from 'nestjs-tiered-cache';
import { AdminGuard } from '../me/user.guard.js';
import { allFields, someFields } from './course-fields.js';
import { courseQuery, LIST_PARAMETERS } from './course-query.js';
import type { Course } from './course.entity.js';
import { Courses, tagsOfPage, type CoursePage } from './courses.service.js';

@Controller('courses')
export class CoursesController {
  constructor(private readonly courses: Courses) {}

  @Get()
  @CachePage({
    ttl: '15m',
    key: [byRoute(), byQuery(LIST_PARAMETERS, { defaults: { page: '1' } })],
    tags: ({ value }: PageAnswer<CoursePage>) => tagsOfPage(value),
  })
  list(@Query() query: Record<string, string>): Promise<CoursePage> {
    return this.courses.list(courseQuery(query));
  }

  @Get(':id')
  @CachePage({
    ttl: '15m',
    key: [byRoute(), byParams()],
    tags: ({ value }: PageAnswer<Course>) => entityTags('Course', value.id),
  })
  one(@Param('id', ParseIntPipe) id: number): Promise<Course> {
    return this.courses.one(id);
  }

  @Post()
  @UseGuards(AdminGuard)
  add(@Body() body: unknown): Promise<Course> {
    return this.courses.add(allFields(body));
  }

  @Patch(':id')
  @UseGuards(AdminGuard)
  edit(@Param('id', ParseIntPipe) id: number, @Body() body: unknown): Promise<Course> {
    return this.courses.edit(id, someFields(body));
  }

  @Delete(':id')
  @UseGuards(AdminGuard)
  remove(@Param('id', ParseIntPipe) id: number): Promise<void> {
    return this.courses.remove(id);
  }
}

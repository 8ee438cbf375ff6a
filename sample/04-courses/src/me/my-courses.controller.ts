import { Controller, Delete, Get, Param, ParseIntPipe, Put, Query, Req, UseGuards } from '@nestjs/common';
import { InjectRepository } from '@nestjs/typeorm';
import { byQuery, byRoute, byUser, CachePage, type PageAnswer } from 'nestjs-tiered-cache';
import type { Repository } from 'typeorm';
import { courseQuery, LIST_PARAMETERS } from '../courses/course-query.js';
import { Courses, tagsOfPage, type CoursePage } from '../courses/courses.service.js';
import { Bookmark, BookmarkLists } from './bookmark.entity.js';
import { UserGuard, type User, type UserRequest } from './user.guard.js';

interface MyCoursePage extends CoursePage {
  readonly user: string;
  readonly bookmarked: readonly number[];
}

/** The catalogue as one user sees it, with his bookmarks. It goes with what it shows of courses, and with his bookmarks. */
@Controller('me/courses')
@UseGuards(UserGuard)
export class MyCoursesController {
  constructor(
    private readonly courses: Courses,
    @InjectRepository(Bookmark) private readonly bookmarks: Repository<Bookmark>,
  ) {}

  @Get()
  @CachePage({
    ttl: '5m',
    key: [byRoute(), byQuery(LIST_PARAMETERS, { defaults: { page: '1' } }), byUser()],
    tags: ({ value }: PageAnswer<MyCoursePage>) => [
      ...tagsOfPage(value),
      ...BookmarkLists.listTags({ ids: [], where: { user: value.user } }),
    ],
  })
  async list(@Query() query: Record<string, string>, @Req() request: UserRequest): Promise<MyCoursePage> {
    const { id: user } = request.user as User;
    const [page, bookmarks] = await Promise.all([
      this.courses.list(courseQuery(query)),
      this.bookmarks.findBy({ user }),
    ]);
    const mine = new Set(bookmarks.map(({ courseId }) => courseId));
    return { ...page, user, bookmarked: page.courses.map(({ id }) => id).filter((id) => mine.has(id)) };
  }

  @Put(':id/bookmark')
  async add(@Param('id', ParseIntPipe) courseId: number, @Req() request: UserRequest): Promise<Bookmark> {
    await this.courses.one(courseId);
    return this.bookmarks.save({ user: (request.user as User).id, courseId });
  }

  @Delete(':id/bookmark')
  async remove(@Param('id', ParseIntPipe) courseId: number, @Req() request: UserRequest): Promise<void> {
    const found = await this.bookmarks.findBy({ user: (request.user as User).id, courseId });
    // Not `delete()`, which does not say whose it was: every user's list would go.
    await this.bookmarks.remove(found);
  }
}

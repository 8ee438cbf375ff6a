import { Module } from '@nestjs/common';
import { ConfigModule } from '@nestjs/config';
import { TypeOrmModule } from '@nestjs/typeorm';
import { TieredCacheModule, tieredCacheConfig } from 'nestjs-tiered-cache';
import { TypeOrmInvalidationModule } from 'nestjs-tiered-cache/typeorm';
import { Course, CourseLists } from './courses/course.entity.js';
import { CoursesController } from './courses/courses.controller.js';
import { Courses } from './courses/courses.service.js';
import { database } from './database.js';
import { Bookmark, BookmarkLists } from './me/bookmark.entity.js';
import { MyCoursesController } from './me/my-courses.controller.js';

@Module({
  imports: [
    ConfigModule.forRoot({ isGlobal: true, load: [tieredCacheConfig] }),
    TieredCacheModule.forRootAsync({
      ...tieredCacheConfig.asProvider(),
      useFactory: (config) => ({ ...config, entities: [CourseLists, BookmarkLists] }),
    }),
    TypeOrmModule.forRootAsync({ useFactory: database }),
    TypeOrmModule.forFeature([Course, Bookmark]),
    // All that there is to invalidation in this application: nothing else in it says what goes when.
    TypeOrmInvalidationModule.forRoot({ outbox: { table: 'courses.outbox' } }),
  ],
  controllers: [CoursesController, MyCoursesController],
  providers: [Courses],
})
export class AppModule {}

import { defineEntity } from 'nestjs-tiered-cache';
import { Entity, PrimaryColumn } from 'typeorm';

@Entity()
export class Bookmark {
  @PrimaryColumn('text')
  user!: string;

  @PrimaryColumn('int')
  courseId!: number;
}

/** Each user has a list: another user's bookmark leaves it alone. */
export const BookmarkLists = defineEntity('Bookmark', { filters: [['user']] });

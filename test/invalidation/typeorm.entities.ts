import 'reflect-metadata';
import {
  ChildEntity,
  Column,
  DeleteDateColumn,
  Entity,
  JoinTable,
  ManyToMany,
  ManyToOne,
  OneToMany,
  PrimaryColumn,
  PrimaryGeneratedColumn,
  TableInheritance,
  Tree,
  TreeChildren,
  TreeParent,
} from 'typeorm';
import { defineEntity } from '../../src/index.js';

@Entity()
export class Teacher {
  @PrimaryGeneratedColumn() id!: number;
  @Column('text') name!: string;
}

@Entity()
export class Tag {
  @PrimaryGeneratedColumn() id!: number;
  @Column('text') label!: string;
}

@Entity()
export class Course {
  @PrimaryGeneratedColumn() id!: number;
  @Column('text', { unique: true }) code!: string;
  @Column('text') title!: string;
  @Column('text') category!: string;
  @Column('int', { default: 5 }) credits!: number;
  @DeleteDateColumn() deletedAt!: Date | null;
  @ManyToOne(() => Teacher, { onDelete: 'CASCADE', eager: true, nullable: true }) teacher!: Teacher | null;
  @OneToMany(() => Chapter, (chapter) => chapter.course, { cascade: true }) chapters!: Chapter[];
  @ManyToMany(() => Tag, { cascade: true }) @JoinTable() tags!: Tag[];
}

@Entity()
export class Chapter {
  @PrimaryGeneratedColumn() id!: number;
  @Column('text') heading!: string;
  @ManyToOne(() => Course, (course) => course.chapters, { onDelete: 'CASCADE' }) course!: Course;
}

@Entity()
@TableInheritance({ column: { type: 'text', name: 'kind' } })
export class Person {
  @PrimaryGeneratedColumn() id!: number;
  @Column('text') name!: string;
}

@ChildEntity()
export class Tutor extends Person {
  @Column('text', { nullable: true }) subject!: string | null;
}

@Entity()
@Tree('closure-table')
export class Topic {
  @PrimaryGeneratedColumn() id!: number;
  @Column('text') name!: string;
  @TreeParent() parent!: Topic | null;
  @TreeChildren() children!: Topic[];
}

/** Two columns identify it. */
@Entity()
export class Seat {
  @PrimaryColumn('text') hall!: string;
  @PrimaryColumn('int') row!: number;
  @Column('text') holder!: string;
}

export const ENTITIES = [Teacher, Tag, Course, Chapter, Person, Tutor, Topic, Seat];

/** By what lists of courses are cached here. */
export const CourseLists = defineEntity('Course', { filters: [['category']], order: ['title'] });

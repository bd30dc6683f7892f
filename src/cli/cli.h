/* Subcommands: one function and one file each. main.c holds their table.
 *
 * argv[0] is the subcommand's own name, as getopt wants it, argv[1…] what follows
 * it. They return the exit status: 0, 1 (failed), 2 (wrong usage). */
#ifndef DEBRIEF_CLI_CLI_H
#define DEBRIEF_CLI_CLI_H

int cli_serve(int argc, char **argv);
int cli_migrate(int argc, char **argv);
int cli_check_config(int argc, char **argv);
int cli_explain(int argc, char **argv);
int cli_replay(int argc, char **argv);
int cli_status(int argc, char **argv);
int cli_token(int argc, char **argv);
int cli_trigger(int argc, char **argv);
int cli_version(int argc, char **argv);

#endif

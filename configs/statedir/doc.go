// Package statedir decides what may be believed of the state directory, and is the one way to its files.
//
// The directory belongs to the user that the services run as. Whoever is that user can put anything there: a
// configuration with a program to run, a named pipe, a link to another file, a socket of its own. So:
//
//  1. Root gives up being root. A command that root runs on a directory that is not root's becomes the directory's owner
//     for good before it reads anything there (Foreign, Owner.Become): user, groups, no more capabilities than the
//     services have. What the directory makes it do (programs of checks and notify, files that a configuration names,
//     signals) it does with the rights that the services have already. The owner rules the farm, and not the host.
//  2. Root's own directory has to be root's alone. Where somebody else may write to it, or a file in it is somebody
//     else's, root refuses it. Open checks that for each access, so a command that forgot the first rule fails.
//  3. Only the owner changes anything or runs programs (Dir.Own). Others, such as members of the group, may look.
//  4. A state file is a regular file of bounded size. Links are not followed, pipes and devices are not waited for, and
//     files are opened relative to the directory that was checked.
//
// Programs of checks and notify commands run without capabilities in a session of their own (health), the peer of
// helper.sock has to be root or the owner (helper/live), and what others wrote is escaped (configs/terminal).
package statedir

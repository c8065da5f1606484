import Glibc

/// An error in the input: a file, a flag, a field, a frame.
///
/// Every reader throws this one type, so that a user always gets one line that says where the
/// error is, what it is and how to fix it. The command line turns it into exit status 64.
package struct InputError: Error, Equatable, Sendable, CustomStringConvertible {
    /// The file, flag, field or host at fault.
    package let place: String
    /// What is wrong with it.
    package let problem: String
    /// What to do about it.
    package let remedy: String
    /// Whether a system limit was reached (open files, memory, disk space). Then the input is not at fault, and the
    /// exit status is 70.
    package let isSystemLimit: Bool

    package init(_ place: String, _ problem: String, fix remedy: String) {
        self.place = place
        self.problem = problem
        self.remedy = remedy
        isSystemLimit = false
    }

    /// The error for a failed system call.
    ///
    /// - Parameters:
    ///   - place: the file, flag, field or host that the call was for
    ///   - operation: what could not be done: "it cannot be opened"
    ///   - code: its `errno`
    ///   - remedy: what to do about it, unless a system limit was reached
    package init(_ place: String, _ operation: String, code: Int32, fix remedy: String) {
        let limit = Self.limits[code]
        self.place = place
        problem = "\(operation): \(String(cString: strerror(code)))"
        self.remedy = limit ?? remedy
        isSystemLimit = limit != nil
    }

    private init(_ place: String, of error: InputError) {
        self.place = place
        (problem, remedy, isSystemLimit) = (error.problem, error.remedy, error.isSystemLimit)
    }

    /// The same error at another place.
    package func moved(to place: String) -> InputError { InputError(place, of: self) }

    /// System limits by `errno`, and what to do about each.
    private static let limits: [Int32: String] = [
        EMFILE: "Allow more open files: ulimit -n", ENFILE: "Close some of the host's open files",
        ENOMEM: "Free some memory", EAGAIN: "Allow more processes: ulimit -u",
        ENOSPC: "Free some disk space", EDQUOT: "Free some space of your disk quota",
        EIO: "Check the disk",
    ]

    /// The error as one line, even if it quotes untrusted text from a file.
    package var description: String {
        oneLine("\(place): ", limit: Self.placeLimit)
            + oneLine(problem, limit: Self.problemLimit) + ". "
            + oneLine(remedy, limit: Self.problemLimit) + "."
    }

    /// Maximum length of a place, in characters: a path may have 4096 bytes.
    private static let placeLimit = 5000
    /// Maximum length of a problem or a remedy, in characters.
    private static let problemLimit = 700
}

/// An error in something that was supplied: a file, a flag, a field, a frame.
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

    package init(_ place: String, _ problem: String, fix remedy: String) {
        self.place = place
        self.problem = problem
        self.remedy = remedy
    }

    /// One line, whatever text the file at fault contributed.
    package var description: String {
        oneLine("\(place): ", limit: Self.placeLimit)
            + oneLine(problem, limit: Self.problemLimit) + ". "
            + oneLine(remedy, limit: Self.problemLimit) + "."
    }

    /// Characters of a place in an error: a path may have 4096 bytes.
    private static let placeLimit = 5000
    /// Characters of a problem and of a remedy in an error.
    private static let problemLimit = 700
}
